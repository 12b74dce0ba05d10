"""The sub-command `check`."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(
    cls=options.Command,
    short_help='Find out whether everything is set up, here and on the server.',
)
@options.names('[NAME]... | [URL]', completion.exchanges)
@options.several(options.SPOOL, options.PASSWORD)
@options.flag('--remote', help='Also try out the server, under the lock.')
@options.several(options.JSON, *options.TARGET)
@command
def check(console, zcml, *, remote, as_json, **arguments):
    """Find out whether everything is set up, before there is a delivery.

    \b
    With --zcml: check the exporters and importers with these names, or all.
    With --spool: check this one; --remote needs the server's URL.
      zeit-cds check
      zeit-cds check --remote articles
      zeit-cds check --remote --spool /var/spool/cds ftp://me@ftp.example.com/in

    It looks at configuration, password, certificates, rights, room and clock,
    and lets a file of its own go the way of what is delivered.  With --remote it
    also locks the server as a run does, tries with files of its own what the
    server can do, and removes them.  A table says what it cannot do, what is done
    instead, and what you can set.  A run remembers what was found out.

    \b
    With -q only what would end a run is written, to standard error.  Exit codes:
    0 all is well; 69 the server cannot be reached; 75 the server is locked, or a
    run is active; 77 the login is refused; 78 something is to be set.
    """
    from zeit.cds.cli import checks, selection

    target = options.take(arguments)
    chosen = selection.checked(zcml=zcml, remote=remote, **arguments, **target)
    results = checks.results(chosen, remote=remote)
    if as_json:
        console.say(checks.as_json(results))
    elif not console.quiet:
        console.say(checks.as_text(results))
    if console.quiet:
        for line in checks.complaints(results):
            console.complain(line)
    return errors.decisive(code for each in results for code in each.codes)
