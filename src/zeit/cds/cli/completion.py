"""What a shell completes: names of exporters, importers, spools, and of files in a spool.

click calls these between two keys: whatever fails, there is nothing to complete, and nothing is
said.
"""

import contextlib
import itertools
import os


#: The most names that are offered.
MAX_NAMES = 500


def registered(*interfaces):
    """Return a function that completes names of what the ZCML file has of these interfaces."""

    def complete(context, parameter, incomplete):
        if context.params.get('spool'):
            return []
        given = context.params.get('names') or ()
        found = {name for each in interfaces for name, _ in _utilities(context, each)}
        return sorted(name for name in found.difference(given) if name.startswith(incomplete))

    return complete


def files(*sections):
    """Return a function that completes names of files in these directories of the spools."""

    def complete(context, parameter, incomplete):
        found = set()
        for spool, section in itertools.product(_spools(context), sections):
            with contextlib.suppress(OSError), os.scandir(os.path.join(spool, section)) as items:
                names = (item.name for item in items)
                # The others cannot be told to the shell.
                wanted = (n for n in names if n.startswith(incomplete) and n.isprintable())
                found.update(itertools.islice((n for n in wanted if n[0] != '.'), MAX_NAMES))
        left = sorted(found.difference(context.params.get('names') or ()))
        return [_as_shown(name) for name in left[:MAX_NAMES]]

    return complete


def _as_shown(name):
    """Return the name of a file as the shell takes it.

    Bash puts it into the line as it is, and a partner chooses names: what is in one would be
    executed.  The other shells quote it.
    """
    if os.environ.get('_ZEIT_CDS_COMPLETE', '').startswith('bash'):
        import shlex  # not for a command that runs

        return shlex.quote(name)
    return name


def _spools(context):
    if spool := context.params.get('spool'):
        return [spool]
    return [str(each.path) for _, each in _utilities(context, 'ISpool')]


def _utilities(context, name):
    """Return (name, component) of the ZCML file for the interface of this `name`."""
    import logging

    import zope.component

    from zeit.cds import interfaces
    from zeit.cds.cli import configuration
    from zeit.cds.system import logs

    with logs.handling(logging.NullHandler(), level=logging.CRITICAL):
        try:
            if path := configuration.path(context.obj.zcml):
                from zeit.cds.zcml.handlers import load

                load(path)
            return list(zope.component.getUtilitiesFor(getattr(interfaces, name)))
        except Exception:  # noqa: BLE001 the command says it when it is called
            return []


exporters = registered('IExporter')
importers = registered('IImporter')
exchanges = registered('IExporter', 'IImporter')
spools = registered('ISpool')
everything = registered('ISpool', 'IExporter', 'IImporter')
