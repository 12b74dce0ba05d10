"""The options of `zeit-cds`, made of their descriptions, with their defaults in the help."""

import re

import click

from zeit.cds.cli.configuration import USUAL, VARIABLE
from zeit.cds.ftp.connection_options import PASSWORD_FILE, Settings
from zeit.cds.ftp.tls import TLS
from zeit.cds.option_types import PATH, SECONDS, SPAN, YES_NO, Kind, Option, line, options, span
from zeit.cds.sftp.connection_options import PASSPHRASE_FILE, SFTP_ONLY
from zeit.cds.sftp.connection_options import Settings as SFTPSettings
from zeit.cds.target.delivery_options import Delivery
from zeit.cds.values.run_options import ImportOptions, Keep, Options


#: The environment variable that a password is taken from.
PASSWORD_VARIABLE = 'ZEIT_CDS_PASSWORD'


class _Type(click.ParamType):
    """A `Kind` for click."""

    def __init__(self, kind):
        self._kind = kind
        self.name = kind.metavar

    def convert(self, value, parameter, context):
        try:
            return self._kind.read(str(value))
        except ValueError as error:
            self.fail(str(error), parameter, context)

    def shell_complete(self, context, parameter, incomplete):
        """Return what a shell completes: words of the kind, or a path."""
        from click.shell_completion import CompletionItem

        if self._kind.convert is PATH.convert and self._kind.fits is PATH.fits:
            kind = 'dir' if self.name == 'DIR' else 'file'
            return [CompletionItem(incomplete, type=kind)]
        words = self.name[1:-1].split('|') if self.name.startswith('[') else ()
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class _Click(click.Option):
    """An option in a `section` of the help."""

    def __init__(self, *names, section, **kw):
        super().__init__(*names, **kw)
        self.section = section

    def get_help_record(self, context):
        """Return name and help.  One that can be switched off is shown as --[no-]name."""
        names, text = super().get_help_record(context)
        return re.sub(r'--(\S+) / --no-\1', r'--[no-]\1', names), text


class Command(click.Command):
    """A command whose help has a section for each kind of option."""

    def format_options(self, context, formatter):
        """Write the options into the formatter."""
        sections = {}
        for each in self.get_params(context):
            if isinstance(each, click.Option):
                usual = 'General' if '--help' in each.opts else 'Options'
                title = getattr(each, 'section', usual)
                sections.setdefault(title, []).append(each.get_help_record(context))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def several(*decorators):
    """Return a decorator that adds click options in the order of their help."""

    def decorate(function):
        for each in reversed(decorators):
            function = each(function)
        return function

    return decorate


def option(described, *, section='Options', **kw):
    """Return the click option that an `Option` describes; it is None where nothing is said."""
    names, kind = described.flag, described.kind
    if kind is YES_NO:
        # What ZCML can switch on can be switched off for a run.
        names += f'/--no-{names[2:]}' if described.zcml else ''
        kw |= {'is_flag': True, 'default': None}
    else:
        kw |= {'type': _Type(kind), 'metavar': kind.metavar}
    text = f'{described.help}  Default: {described.shown}.'
    return click.option(names, help=text, cls=_Click, section=section, **kw)


def flag(*names, help, default='no'):
    """Return a click option that is on or off; `default` says what happens without it."""
    return click.option(*names, is_flag=True, help=f'{help}  Default: {default}.')


def names(metavar, complete):
    """Return the click argument `names`, any number of them, which a shell can `complete`."""
    return click.argument('names', nargs=-1, metavar=metavar, shell_complete=complete)


def _all(kind, *, section, names=None):
    return tuple(
        option(each, section=section)
        for each in options(kind).values()
        if each.cli and (names is None or each.name in names)
    )


class Common:
    """What may stand before and behind the name of a sub-command."""

    verbosity = 0
    log_file = zcml = None


def _more(context, parameter, value):
    context.ensure_object(Common).verbosity += value


def _less(context, parameter, value):
    context.ensure_object(Common).verbosity -= value


def _keep(context, parameter, value):
    common = context.ensure_object(Common)
    if value is not None:
        setattr(common, parameter.name, value)


_GENERAL = {'cls': _Click, 'section': 'General', 'expose_value': False}

COMMON = (
    option(
        Option(
            'zcml',
            PATH,
            'ZCML file with spools, targets, exporters and importers.',
            unset=f'${VARIABLE}, else {USUAL}',
        ),
        callback=_keep,
        expose_value=False,
        section='General',
    ),
    option(
        Option('log_file', PATH, 'Also append the log to this file; logrotate may move it.'),
        callback=_keep,
        expose_value=False,
        section='General',
    ),
    click.option(
        '-v',
        '--verbose',
        count=True,
        callback=_more,
        help='Show the log with tracebacks; -vv: the dialogue with the server, too.  '
        'Default: warnings and errors.',
        **_GENERAL,
    ),
    click.option(
        '-q',
        '--quiet',
        count=True,
        callback=_less,
        help='Show errors only.  Default: warnings and errors.',
        **_GENERAL,
    ),
)

SPOOL = option(
    Option(
        'spool',
        PATH._replace(metavar='DIR'),
        'The spool: a directory with tmp, new and cur.',
        unset='from --zcml',
    )
)
PASSWORD = option(PASSWORD_FILE._replace(unset=f'${PASSWORD_VARIABLE}, else ~/.netrc'))
ALL = flag('--all', 'everything', help='Run all that the ZCML file has.')
JSON = flag('--json', 'as_json', help='Print JSON, with times in UTC.', default='text')
REASON = option(
    Option('reason', line('a text on one line', 'TEXT'), 'Why; the history keeps it.', 'By hand'),
    default='By hand',
)


def _moment(text):
    """Return a time, or one that was so long ago, as the history has them (ISO 8601, UTC)."""
    import datetime

    try:
        found = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=span(text))
    except ValueError:
        found = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    return found.isoformat(timespec='milliseconds')


_MOMENT = Kind('a time such as 90s, 15m, 2h, 7d (ago) or 2026-11-30T17:00', 'TIME', _moment)

_SINCE = Option(
    'since', _MOMENT, 'Nothing older: 90s, 15m, 2h, 7d (ago), or 2026-11-30.', unset='all'
)
SINCE = option(_SINCE)
ALL_SINCE = option(
    _SINCE._replace(help='All since then: 90s, 15m, 2h, 7d (ago), or 2026-11-30.', unset='none')
)
UNTIL = option(Option('until', _MOMENT, 'Nothing newer than this: the same.', unset='all'))

_MAX_AGE = Option(
    'max_age',
    SPAN,
    'Exit with 2 if something is not delivered for longer than this, such as 15m, 2h.',
    unset='never',
)

MONITORING = (
    flag('--prometheus', help='Print metrics for the textfile collector.', default='text'),
    option(_MAX_AGE),
)
MAX_AGE = option(
    _MAX_AGE._replace(help='/healthz tells of what is not delivered for longer: 15m, 2h.')
)
INTERVAL = option(
    Option('interval', SECONDS, 'Look for new files at least this often.', 60), default=60
)

#: Options of a run.  None: as configured, or the default there.
KEEP = _all(Keep, section='Options')
RUN = _all(Options, section='Run')
IMPORT = _all(ImportOptions, section='Run')

#: What every command needs that connects to a server, one that delivers, and one that fetches.
REACH = (
    *_all(TLS, section='TLS'),
    *_all(SFTPSettings, section='SFTP', names=SFTP_ONLY),
    option(PASSPHRASE_FILE, section='SFTP'),
    *_all(Settings, section='Network'),
)
TARGET = (*_all(Delivery, section='Files on the server'), *REACH)
SOURCE = (
    *_all(
        Delivery,
        section='Files on the server',
        names=('size_check', 'connections', 'bandwidth'),
    ),
    *REACH,
)

_TARGET_NAMES = {
    each.name
    for kind in (Delivery, TLS, Settings, SFTPSettings)
    for each in options(kind).values()
    if each.cli
} | {'password_file', 'passphrase_file'}


def take(arguments):
    """Remove the options of a target from the dictionary `arguments`; return those that were given.

    The names are those of `zeit.cds.target.target.FTPTarget.from_options`, or of the same for SFTP,
    and `password_file`, `passphrase_file`.
    """
    return _given(arguments, _TARGET_NAMES)


def split(arguments):
    """Return two dictionaries: which exporters or importers are meant, and the options of the run.

    The first one has arguments of `zeit.cds.cli.selection.exchanges`.  What was not given is in
    neither.
    """
    selected = {'names': (), 'spool': None} | take(arguments)
    selected |= _given(arguments, {'names', 'spool', 'everything'})
    return selected, _given(arguments, {*arguments})


def _given(arguments, names):
    found = {name: arguments.pop(name) for name in [*arguments] if name in names}
    return {name: value for name, value in found.items() if value is not None}
