"""The sub-command `import`."""

import click

from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command, name='import')
@options.names('[NAME]... | URL', completion.importers)
@options.several(
    *(options.ALL, options.SPOOL, options.PASSWORD, options.JSON), *options.IMPORT, *options.SOURCE
)
@command
def import_(console, zcml, **arguments):
    """Fetch what a partner has left on a server into a spool.

    \b
    With --zcml: run the importers with these names, one after the other, or
    --all.  The name may be left out if there is only one.  One that fails stops
    no other, and the exit code is that of the worst: see README.txt.
      zeit-cds --zcml cds.zcml import --all
      zeit-cds --zcml cds.zcml import letters

    \b
    With --spool: fetch from a URL, as for export.
      zeit-cds import --spool /var/spool/letters --password-file /etc/cds.pw \\
          ftpes://zeit@ftp.example.com/out

    Each file is deleted on the server when it is complete in the spool.  On
    success the result is printed on a terminal only, so that cron sends mail
    only when something is wrong.  With --json a program gets it in any case.
    """
    from zeit.cds.cli import runs
    from zeit.cds.run.importer import Importer, ImportOptions

    return runs.run_each(console, zcml, arguments, factory=Importer, options=ImportOptions)
