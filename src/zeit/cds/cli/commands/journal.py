"""The sub-command `journal`, with sub-commands of its own."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.group(no_args_is_help=False)
def journal():
    """Work with the journal and history of a spool.

    \b
      zeit-cds journal verify
    """


@journal.command(cls=options.Command)
@options.names('[SPOOL]...', completion.spools)
@options.several(options.SPOOL)
@options.flag('--acknowledge', help='Report what is damaged or missing now for the last time.')
@command
def verify(console, zcml, *, names, acknowledge, spool=None):
    """Read the whole journal and history, and report damage.

    \b
    With --zcml: check all spools, or those with these names.  With --spool:
    check this one.
      zeit-cds --zcml cds.zcml journal verify
      zeit-cds journal verify --spool /var/spool/cds

    It changes nothing but with --acknowledge, and never waits for a run.
    Damaged lines are left out by every reader.  Half a line at the end is not
    damage: it is being written, or the next run cuts it off.  The exit code is 1
    if anything is damaged, or a month is missing.

    Damaged lines of the journal and what is missing are reported by status and
    by each run, those of the history by this command, until you call it once
    with --acknowledge.
    """
    from zeit.cds.cli import selection
    from zeit.cds.monitoring import verify as verifying
    from zeit.cds.text import plural, printable

    codes = [errors.DONE]
    for selected in selection.named(zcml, names, spool):
        about, damaged = verifying.verify(selected.spool)
        for line in damaged:
            console.complain(line)
            codes.append(errors.FILES_FAILED)
        if not console.quiet:
            result = plural(len(damaged), 'fault') if damaged else 'sound'
            console.say(f'{printable(str(selected.spool.path))}: {result}; {about}.')
        if acknowledge:
            verifying.acknowledge(selected.spool)
            if damaged and not console.quiet:
                console.say('This is acknowledged, and not reported again.')
    return max(codes)
