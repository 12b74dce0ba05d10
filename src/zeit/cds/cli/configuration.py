"""Which ZCML file a command reads, where none is named."""

import os


#: The environment variable that names one; empty: none is read.
VARIABLE = 'ZEIT_CDS_ZCML'

#: The one that is read where there is neither option nor variable, if it is there.
USUAL = '/etc/zeit.cds/cds.zcml'

#: How the URL of a server begins; the id of a content may be another one.
_URLS = 'ftp://', 'ftpes://', 'ftps://', 'sftp://'

#: What to do where there is none.
NONE = f'There is neither ${VARIABLE} nor {USUAL}.'


def path(given, *, spool=None, names=()):
    """Return the path of the ZCML file that a command reads, None if it reads none.

    `given` is that of the option; a `spool`, or the URL of a server among the `names`, does
    without ZCML.
    """
    if given is not None or spool is not None or any(map(_is_url, names)):
        return given
    if (named := os.environ.get(VARIABLE)) is not None:
        return named or None
    try:
        os.stat(USUAL)
    except FileNotFoundError:
        return None
    except OSError:
        pass  # who reads it says why that cannot be
    return USUAL


def _is_url(name):
    return name.strip(' ').lower().startswith(_URLS)


def origin(path):
    """Return why the file `path` is read, '' if an option names it."""
    return f'It is named by ${VARIABLE}.' if path == os.environ.get(VARIABLE) else ''
