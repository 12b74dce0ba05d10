"""How a run works, and what of it is kept: what a person chooses, or ZCML."""

import dataclasses
from collections.abc import Callable

from zeit.cds.errors import UsageError
from zeit.cds.option_types import (
    SECONDS,
    SECONDS_OR_0,
    SPAN,
    YES_NO,
    Kind,
    Values,
    described,
    is_one_line,
    line,
    one_of,
    whole,
)
from zeit.cds.values.priority import URGENCY


def _is_command(text):
    # Imported here as it is needed by few runs.
    import shlex

    return is_one_line(text) and bool(shlex.split(text))


_COMMAND = Kind('a command with its arguments, on one line', 'COMMAND', fits=_is_command)

_EMPTY = 'What to do with files of 0 bytes.'


class _Run(Values):
    """What all runs have; the fields that are no options are for who calls.

    `interrupted()` is asked between two files: true ends the run.  `postponed()` is asked once,
    when no other run can be active any more: true ends this one before it has begun.
    `comes_again`: who makes this run comes again soon, so that the log need not say that there is
    nothing, nor that another run is active.  `progress`: the `IProgress` of who watches.
    `kept`: see `ITarget.open`.

    Raises `ConfigurationError` for values that make no sense.
    """

    max_files: int | None = described(
        None, whole(1), 'Stop after N files; the next run continues.', unset='no limit'
    )
    max_bytes: int | None = described(
        None,
        whole(1, metavar='BYTES'),
        'Stop before the files exceed this size; a single file may be larger.',
        unset='no limit',
    )
    deadline: float = described(
        3600,
        SECONDS_OR_0,
        'Stop after this time and clean up; 0: never.  A file in transfer may take this time once '
        'more.',
    )
    on_failure: str | None = described(
        None,
        _COMMAND,
        'Run this when a run fails, and did not for the same reason before; it gets JSON on '
        'standard input.  No shell.',
        unset='nothing',
    )
    on_recovery: str | None = described(
        None, _COMMAND, 'Run this when a run succeeds again after that.', unset='nothing'
    )
    hook_timeout: float = described(30, SECONDS, 'Kill these commands after this time.')
    dry_run: bool = described(
        False, YES_NO, 'Look at everything, print what would be done, change nothing.', zcml=False
    )
    interrupted: Callable = bool
    postponed: Callable = bool
    comes_again: bool = False
    progress: object = dataclasses.field(default=None, compare=False)
    kept: object = dataclasses.field(default=None, compare=False)


class Options(_Run):
    """How a run works that exports; see `_Run` and the descriptions."""

    order: str = described(
        'arrival',
        one_of('arrival', 'name'),
        'Send files in the order of their arrival in the spool, or by name.',
    )
    priority: str | None = described(
        None,
        URGENCY,
        'Send files with these names before others, or behind them: "breaking-*=10 archive-*=-10". '
        'The first pattern that fits counts, others have 0; what the CMS has given a file goes '
        'before that.',
        unset='all alike',
    )
    strict: bool = described(False, YES_NO, 'Stop at the first file that is not delivered.')
    empty: str = described('send', one_of('send', 'park', 'skip'), _EMPTY)
    park_after: int = described(
        5, whole(0), 'Park a file that the server refused in N runs; 0: never.'
    )
    wanted: str = described(
        '*',
        line('some patterns on one line', 'PATTERNS'),
        'Where several exporters have one spool: files with these names are for this one; patterns '
        'as in a shell, separated by spaces.',
        cli=False,
    )
    give_up_after: int | None = described(
        None,
        SPAN,
        'Where several exporters have one spool: what has waited longer for this one, such as 7d, '
        'is not sent by it any more, and does not stay in new for it.',
        unset='never',
        cli=False,
    )


class ImportOptions(_Run):
    """How a run works that imports; see `_Run` and the descriptions."""

    ignore: str = described(
        '*.part *.partial *.filepart *.tmp *.temp *~',
        Kind('some patterns on one line', 'PATTERNS', fits=is_one_line),
        'Never fetch files with these names: patterns as in a shell, separated by spaces.',
    )
    min_age: float = described(
        0, SECONDS_OR_0, "Fetch only files changed at least this long ago, by the server's clock."
    )
    occupied: str = described(
        'wait',
        one_of('wait', 'unique'),
        "If the spool's new directory still has a file of the same name: wait, or give this one a "
        'unique name.',
    )
    empty: str = described('take', one_of('take', 'skip'), _EMPTY)


class Keep(Values):
    """What `zeit-cds prune` leaves in `cur/`; nothing else ever deletes anything there.

    Raises `ConfigurationError` for values that make no sense.
    """

    keep: int | None = described(
        None,
        SPAN,
        'Let "zeit-cds prune" delete files in cur that were delivered longer ago, such as 30d.',
        unset='keep all',
    )
    keep_bytes: int | None = described(
        None,
        whole(0, metavar='BYTES'),
        'Let "zeit-cds prune" delete the oldest files in cur until the rest has this size.',
        unset='keep all',
    )

    @property
    def all(self):
        """Whether nothing is to be deleted."""
        return self.keep is None and self.keep_bytes is None


def options_of(exchange, kind, *, given=(), comes_again=True, **changes):
    """Return the options of an exporter or importer, with `changes`, for who comes again.

    `kind`: the class of them; `given`: what a person has chosen.  What was made by somebody else
    may have options of its own kind; these remain as they are, and nothing can be chosen: that
    raises `UsageError`.
    """
    own = getattr(exchange, 'options', None)
    own = kind() if own is None else own
    if isinstance(own, kind):
        return dataclasses.replace(own, comes_again=comes_again, **changes, **dict(given))
    if given:
        raise UsageError(
            f'--{[*given][0].replace("_", "-")} cannot be used with {type(exchange).__name__},'
            ' which has options of its own'
        )
    return own
