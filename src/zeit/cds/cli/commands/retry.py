"""The sub-command `retry`."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command)
@options.names('NAME... | --all', completion.files('parked'))
@options.several(options.SPOOL)
@options.flag('--all', 'everything', help='Retry every parked file and every failed publication.')
@options.flag('--older', help='Retry a file even if there is a newer version of it.')
@options.flag('--forget', help='Give up a failed publication, by the id of its content.')
@command
def retry(console, zcml, *, names, everything, older, forget, spool=None):
    """Bring parked files back, to be sent by the next run.

    \b
    With --zcml: look into all spools.  With --spool: look into this one.
      zeit-cds --zcml cds.zcml retry a.xml b.xml
      zeit-cds retry --spool /var/spool/cds a.xml

    A name may also be the id of content that could not be put into a spool when
    it was published.  It is tried again; the ZCML file must have the application.
    With --forget it is given up, because it was deleted, for example.

    A file stays parked if a newer version of it waits, was delivered, or is
    parked as well: it would overwrite that.  The message names both.  Option
    --older brings it back all the same, and it is the newest from then on; a
    file that waits in its place is parked.

    The exit code is 1 if a file is not parked, or stays parked; the others are
    brought back.
    """
    from zeit.cds.cli import retry as retrying
    from zeit.cds.cli import selection
    from zeit.cds.text import printable

    if everything and (names or forget or older):
        other = 'names' if names else '--forget' if forget else '--older'
        raise errors.UsageError(f'--all cannot be combined with {other}', hint='Choose one.')
    if forget and older:
        raise errors.UsageError('--forget cannot be combined with --older', hint='Choose one.')
    if not names and not everything:
        raise errors.UsageError("Missing argument 'NAME...'", hint='Or pass --all.')
    selected = selection.named(zcml, (), spool)
    if everything:
        names = retrying.everything(selected)
        if not names and not console.quiet:
            console.say('No parked files, no failed publications.')
    codes = []
    if forget:
        found = ((name, None, error) for name, error in retrying.forget(names, selected))
    else:
        found = retrying.bring_back(names, selected, older=older)
    for name, path, error in found:
        if error is not None:
            console.tell(error)
            codes.append(error.exit_code)
        elif forget and not console.quiet:
            console.say(f'{printable(name)} will not be retried.')
        elif not console.quiet:
            console.say(f'{printable(name)} is waiting in {printable(str(path))} again.')
    return errors.decisive(codes)
