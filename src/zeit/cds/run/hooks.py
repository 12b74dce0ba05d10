"""Commands of a person that are told when runs begin to fail, and when they succeed again."""

import logging

from zeit.cds.errors import DONE
from zeit.cds.text import from_timestamp, printable, strict_json


log = logging.getLogger(__name__)

#: The version of what the command gets, see docs/json.txt.
VERSION = 1

#: How many failed files are named, at most.
MOST = 100

#: How many characters of what a command wrote are logged.
SHOWN = 1000


def tell(ending, options, *, spool, target, report):
    """Run the command that `options` have for an `Ending`, if there is news and a command.

    Never raises, and changes nothing: what goes wrong is logged.  `spool`, `target` and `report`
    are those of the run.
    """
    name = {'failure': 'on_failure', 'recovery': 'on_recovery'}.get(ending.news)
    command = name and getattr(options, name)
    if not command:
        return
    # Imported here as it is needed by few runs.
    import shlex

    from zeit.cds.system import commands

    data = strict_json(_object(ending, spool=spool, target=target, report=report)).encode() + b'\n'
    try:
        ended = commands.run(shlex.split(command), data, seconds=options.hook_timeout)
    except OSError as error:
        log.warning('The command %s cannot be run: %s', name, error.strerror)
        return
    said = printable(ended.output.strip(), limit=SHOWN)
    said = f': {said}' if said else ''
    if ended.exit_code is None:
        log.warning('%s took longer than %g s, was killed%s', name, options.hook_timeout, said)
    elif ended.exit_code != DONE:
        log.warning('%s has failed (%d)%s', name, ended.exit_code, said)
    else:
        log.info('%s was run%s', name, said)


def _object(ending, *, spool, target, report):
    return {
        'version': VERSION,
        'event': ending.news,
        'direction': 'in' if report.done == 'imported' else 'out',
        'path': str(spool.path),
        'server': target.url,
        'ended': from_timestamp(ending.at).isoformat(timespec='milliseconds'),
        'exit_code': ending.exit_code,
        'reason': ending.reason or None,
        'failures': ending.failures,
        'delivered': len(report.delivered),
        'failed': len(report.failed),
        'files': [{'name': name, 'reason': why} for name, why in report.failed[:MOST]],
    }
