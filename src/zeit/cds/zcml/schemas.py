"""The attributes of the directives: schemas for `zeit.cds.zcml.handlers`.

They are made of the descriptions of the options.  Errors say what is wanted: what zope.schema says,
`ConstraintNotSatisfied: ('x', 'exists')`, is for programmers.
"""

import re

import zope.configuration.fields
import zope.interface
import zope.schema
from zope.interface.interface import InterfaceClass

from zeit.cds.credentials import Secret
from zeit.cds.ftp.connection_options import PASSWORD_FILE, Settings
from zeit.cds.ftp.tls import TLS
from zeit.cds.option_types import PATH, YES_NO, Kind, Option, is_one_line, line, options, whole
from zeit.cds.sftp.connection_options import PASSPHRASE_FILE
from zeit.cds.sftp.connection_options import Settings as SFTPSettings
from zeit.cds.target.delivery_options import Delivery
from zeit.cds.values.run_options import ImportOptions, Keep, Options


@zope.interface.implementer(zope.schema.interfaces.IFromUnicode)
class Attribute(zope.schema.Field):
    """An attribute of a directive, as `option` describes it."""

    def __init__(self, option):
        self.option = option
        super().__init__(
            title=option.help,
            # All others may be in the product configuration.
            required=option.name == 'name',
            default=option.default,
            __name__=option.name,
        )

    def fromUnicode(self, value):  # noqa: N802 the name is the one of IFromUnicode
        """Return the converted value.  Raises `zope.schema.ValidationError`.

        A path is relative to the ZCML file; ~ and $VARIABLE are expanded.
        """
        try:
            value = self.option.kind.read(value)
        except ValueError as error:
            problem = str(error)
        else:
            if self.option.kind is not PATH:
                return value
            return zope.configuration.fields.Path().bind(self.context).fromUnicode(value)
        # Outside of the handler, and without the value: no frame of this error has a secret in it.
        del value
        raise zope.schema.ValidationError(problem)


def _password(text):
    if not is_one_line(text):
        raise ValueError
    return Secret(text)


_NAME = line('a name: some characters on one line', 'NAME')

#: Where the password of a target is, in one of four places.
PASSWORDS = (
    PASSWORD_FILE,
    Option(
        'password_env',
        Kind(
            'the name of an environment variable',
            fits=re.compile(r'[A-Za-z_][A-Za-z0-9_]*\Z').match,
            # What was meant to be the password itself must not show up in an error.
            secret=True,
        ),
        'Environment variable with the password.',
    ),
    Option('netrc', PATH, 'Netrc file with the password for this host and user, such as ~/.netrc.'),
    Option(
        'password',
        Kind('a password on one line', convert=_password, secret=True),
        'The password itself; for compatibility.',
    ),
)

#: Between what an exporter or importer works.
ENDS = (
    Option('spool', _NAME, 'The name of a spool.', needed=True),
    Option('target', _NAME, 'The name of a target.', needed=True),
)


#: What each directive has.
COMMON = (
    Option('name', _NAME, 'Its name for other directives, getUtility and the command line.'),
    Option(
        'product_config',
        Kind(
            'a section of the product configuration and a key: section/key',
            fits=re.compile(r'[^/\s]+/[^/\s]+\Z').match,
        ),
        'Section and key of the product configuration, such as zeit.cds/x, which overrides the '
        'other attributes.',
    ),
)


def _directive(name, *described):
    """Return the schema of a directive."""
    found = [Attribute(each) for each in (*COMMON, *described) if each.zcml]
    return InterfaceClass(
        name,
        (zope.interface.Interface,),
        {each.__name__: each for each in found},
        __module__=__name__,
    )


#: A spool: registers an `ISpool` utility.
ISpoolDirective = _directive(
    'ISpoolDirective',
    Option(
        'path',
        PATH,
        'The directory with tmp, new and cur.  It must exist when a run begins; these three are '
        'created if missing.',
        needed=True,
    ),
    Option('history', whole(0), 'Keep receipts for N months; 0: for ever.', 0),
    *options(Keep).values(),
)
# In the product configuration it is the value of the key itself.
ISpoolDirective.setTaggedValue('value', 'path')

#: A directory on an FTP server: registers an `ITarget` utility.
ITargetDirective = _directive(
    'ITargetDirective',
    *options(Settings).values(),
    *PASSWORDS,
    *options(Delivery).values(),
    *options(TLS).values(),
)

#: A directory on an SFTP server: registers an `ITarget` utility.
ISFTPTargetDirective = _directive(
    'ISFTPTargetDirective',
    *options(SFTPSettings).values(),
    PASSPHRASE_FILE,
    *PASSWORDS,
    *options(Delivery).values(),
)

#: An exporter: registers an `IExporter` utility.
IExporterDirective = _directive('IExporterDirective', *ENDS, *options(Options).values())

#: An importer: registers an `IImporter` utility.
IImporterDirective = _directive(
    'IImporterDirective',
    *ENDS,
    Option(
        'two_way',
        YES_NO,
        'Fetch also from where an exporter delivers to, out of another spool: all files there are '
        'fetched, and deleted there.',
        False,
    ),
    *options(ImportOptions).values(),
)
