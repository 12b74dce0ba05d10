"""The options of `zeit-cds`, shared between its sub-commands, with their defaults in the help."""

import dataclasses
import re
import types

import click


#: The environment variable that a password is taken from.
PASSWORD_VARIABLE = 'ZEIT_CDS_PASSWORD'

#: The longest time that a run can be given, in seconds.
LONGEST = 86400


@dataclasses.dataclass
class Common:
    """What may stand before and behind the name of a sub-command."""

    verbosity: int = 0
    log_file: str | None = None
    zcml: str | None = None


def _more(context, parameter, value):
    context.ensure_object(Common).verbosity += value


def _less(context, parameter, value):
    context.ensure_object(Common).verbosity -= value


def _keep(context, parameter, value):
    common = context.ensure_object(Common)
    if value is not None:
        setattr(common, parameter.name, value)


# What cannot be read is no wrong call, and whoever opens it can say why.
_PATH = click.Path(readable=False)

COMMON = (
    click.option(
        '--zcml',
        type=_PATH,
        callback=_keep,
        expose_value=False,
        metavar='FILE',
        help='ZCML file with spools, targets, exporters, importers.  Default: none.',
    ),
    click.option(
        '--log-file',
        type=_PATH,
        callback=_keep,
        expose_value=False,
        metavar='FILE',
        help='Append the log to this file as well; logrotate may put it away.  Default: none.',
    ),
    click.option(
        '-v',
        '--verbose',
        count=True,
        callback=_more,
        expose_value=False,
        help='Show the log and tracebacks; -vv the FTP dialogue.  Default: warnings, errors.',
    ),
    click.option(
        '-q',
        '--quiet',
        count=True,
        callback=_less,
        expose_value=False,
        help='Show errors only.  Default: warnings too.',
    ),
)


def several(*options):
    """Return a decorator that adds click options in the order of their help."""

    def decorate(function):
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


SPOOL = click.option(
    '--spool',
    type=_PATH,
    metavar='DIR',
    help='The spool: a directory with tmp, new and cur.  Default: from --zcml.',
)
PASSWORD = click.option(
    '--password-file',
    type=_PATH,
    metavar='FILE',
    help=f'The password is its first line.  Default: ${PASSWORD_VARIABLE}, else ~/.netrc.',
)
JSON = click.option('--json', 'as_json', is_flag=True, help='JSON, times in UTC.  Default: text.')


class _Duration(click.ParamType):
    """A time span: `90s`, `15m`, `2h`, `1d`; in seconds.  A number alone might mean anything."""

    name = 'time'
    _units = types.MappingProxyType({'s': 1, 'm': 60, 'h': 3600, 'd': 86400})

    def convert(self, value, parameter, context):
        found = re.fullmatch(r'([0-9]{1,6})([smhd])', str(value))
        if found is None:
            self.fail(f'{value!r} is not a time such as 90s, 15m, 2h or 1d.')
        return int(found[1]) * self._units[found[2]]


SINCE = click.option(
    '--since',
    type=_Duration(),
    metavar='TIME',
    help='Not those that are older: 90s, 15m, 2h, 7d.  Default: all.',
)

MONITORING = (
    click.option(
        '--prometheus',
        is_flag=True,
        help='Metrics, for the textfile collector.  Default: text.',
    ),
    click.option(
        '--max-age',
        type=_Duration(),
        metavar='TIME',
        help='2 if something is not delivered for so long: 90s, 15m, 2h.  Default: any.',
    ),
)


class _Deadline(click.ParamType):
    """A number of seconds, 0 for no end; what no clock reaches is refused."""

    name = 'seconds'

    def convert(self, value, parameter, context):
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1
        if not 0 <= seconds <= LONGEST:
            self.fail(f'{value!r} is not a number of seconds from 0 to {LONGEST}.')
        return seconds


_MAX_FILES = click.option(
    '--max-files',
    type=click.IntRange(min=1),
    metavar='N',
    help='Stop after so many files.  Default: no limit.',
)
_MAX_BYTES = click.option(
    '--max-bytes',
    type=click.IntRange(min=1),
    metavar='N',
    help='Stop before so many bytes are exceeded; one file may be larger.  Default: no limit.',
)
_DEADLINE = click.option(
    '--deadline',
    type=_Deadline(),
    metavar='SECONDS',
    help='Stop a run after this time, cleaning up; 0: never.  Default: 3600.',
)

#: Options of a run: `zeit.cds.exporter.Options`.  None: as configured, or the default there.
RUN = (
    click.option(
        '--order',
        type=click.Choice(['arrival', 'name']),
        help='Which file goes first.  Default: arrival.',
    ),
    click.option(
        '--strict/--no-strict',
        default=None,
        help='Stop at the first file that is not delivered.  Default: no.',
    ),
    _MAX_FILES,
    _MAX_BYTES,
    click.option(
        '--empty',
        type=click.Choice(['send', 'park', 'skip']),
        help='What to do with files of 0 bytes.  Default: send.',
    ),
    click.option(
        '--park-after',
        type=click.IntRange(min=0),
        metavar='N',
        help='Park a file that the server refused in so many runs, 0: never.  Default: 5.',
    ),
    _DEADLINE,
    click.option(
        '--dry-run',
        is_flag=True,
        default=None,
        help='Look at everything, print what would be sent, change nothing.  Default: no.',
    ),
)

#: Options of a run that imports: `zeit.cds.importer.ImportOptions`.
IMPORT = (
    click.option(
        '--ignore',
        metavar='PATTERNS',
        help='Names that are never taken, separated by spaces.  Default: *.part, *.tmp and others.',
    ),
    click.option(
        '--min-age',
        type=_Deadline(),
        metavar='SECONDS',
        help='Take only what was changed so long ago.  Default: 0, whatever its age.',
    ),
    click.option(
        '--occupied',
        type=click.Choice(['wait', 'unique']),
        help='A file whose name is in new: let it wait there, or rename it.  Default: wait.',
    ),
    _MAX_FILES,
    _MAX_BYTES,
    click.option(
        '--empty',
        type=click.Choice(['take', 'skip']),
        help='What to do with files of 0 bytes.  Default: take.',
    ),
    _DEADLINE,
    click.option(
        '--dry-run',
        is_flag=True,
        default=None,
        help='Look, print what would be fetched, change nothing.  Default: no.',
    ),
)
