"""What a command says on the terminal: few clear lines, and the log for those who ask for it."""

import contextlib
import logging
import os
import sys
import threading
import traceback

import click

from zeit.cds import errors
from zeit.cds.cli import journal_stream, progress_bar
from zeit.cds.cli.output import folded, unwritten
from zeit.cds.errors import Error, FTPOSError, Locked, RemoteProtocolError, ServerError, UsageError
from zeit.cds.run.log_and_report import REASON
from zeit.cds.system import logs, signals
from zeit.cds.text import file_size, plural, printable


log = logging.getLogger(__name__)

PROGRAM = 'zeit-cds'

#: Longest line of a log record or a traceback on a terminal, in characters.  Foreign texts in it
#: have been cut to less where they came in.
LINE_LIMIT = 1000

#: These lines of a run's log frame the reason why it ended; the console tells the reason itself.
_FRAME = (
    'Exiting',
    'Could not connect to CDS FTP server.',
    'Error accessing FTP server.',
    'Cannot access CDS FTP server as ',
)

_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}


class Formatter(logging.Formatter):
    """One line for a record, without a traceback; `verbose`: time, level and traceback as well.

    Every line is made harmless for a terminal, also those of a traceback.  `about()` returns what
    the one line begins with, '' for nothing.
    """

    def __init__(self, *, verbose=False, about=str, journal=False):
        super().__init__(
            '%(asctime)s %(levelname)-7s %(whose)s%(message)s' if verbose else '%(message)s',
            datefmt='%H:%M:%S',
        )
        self._verbose = verbose
        self._about = about
        self._journal = journal

    def format(self, record):
        if self._journal:
            return self._for_the_journal(record)
        if self._verbose:
            # Where several runs go on at the same time, nobody could tell their lines apart.
            beside = threading.current_thread() is not threading.main_thread()
            record.whose = self._about() if beside else ''
            text = super().format(record)
        else:
            text = f'{PROGRAM}: {_severity(record)}{self._about()}{self._what_happened(record)}'
        return '\n'.join(printable(line, limit=LINE_LIMIT) for line in text.splitlines())

    def _for_the_journal(self, record):
        text = self._about() + self._what_happened(record)
        error = record.exc_info[1] if record.exc_info else None
        if self._verbose and error is not None and not isinstance(error, Error):
            text += f'\n{self.formatException(record.exc_info)}'
        lines = (printable(line, limit=LINE_LIMIT) for line in text.splitlines())
        number = journal_stream.priority(record.levelno, str(record.msg))
        return journal_stream.marked(number, '\n'.join(lines))

    def _what_happened(self, record):
        error = record.exc_info[1] if record.exc_info else None
        text = ' '.join(record.getMessage().split())
        if error is None:
            return text
        if isinstance(error, Error):
            return what_and_why(error)
        return f'{text.rstrip(":.")}: {_type_and_text(error)}'


def _severity(record):
    return 'warning: ' if record.levelno == logging.WARNING else ''


def _type_and_text(error):
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def what_and_why(error):
    """Return what an `Error` that ended a run says, and what to do about it, as one line."""
    which = f' ({error.server})' if error.server else ''
    if isinstance(error, Locked):
        what = (
            f"Cannot access CDS FTP server as '{error.name}' lockfile exists{which}. {error.holder}"
        )
    elif error.while_connecting:
        what = f'Could not connect to CDS FTP server{which}: {error.message}'
    elif error.server or isinstance(error, FTPOSError | RemoteProtocolError | ServerError):
        what = f'Error accessing FTP server{which}: {error.message}'
    else:
        what = error.message
    line = f'{what.rstrip(". ")}. {error.hint}' if error.hint else what
    return printable(line, limit=LINE_LIMIT)


def complaints(report, *, most=1):
    """Return lines about what failed in a run, for who has no log: the files, then the reasons.

    At most so many files are named.  That somebody else is at work is no failure.
    """
    failed = [f'{printable(name)}: {why}' for name, why in report.failed]
    more = len(failed) - most
    return [
        *failed[:most],
        *([f'{plural(more, "more file")} failed.'] if more > 0 else []),
        *(what_and_why(e) for e in report.errors if e.exit_code != errors.COME_BACK_LATER),
    ]


def _elsewhere(error):
    """Return file and line of the code of somebody else that has raised `error`; '' if ours did."""
    for frame, line in reversed([*traceback.walk_tb(error.__traceback__)]):
        module = frame.f_globals.get('__name__') or ''
        if module.startswith('zeit.cds.'):
            break
        # What these raise is told of who calls them.
        if module.partition('.')[0] not in {*sys.stdlib_module_names, 'click', 'gocept', 'zope'}:
            return f'{printable(frame.f_code.co_filename)}, line {line}'
    return ''


class _NoFrame(logging.Filter):
    def filter(self, record):
        return not str(record.msg).startswith(_FRAME)


class _StandardError(logging.Handler):
    """Writes to what standard error is at that moment; where nobody reads, nothing is missed.

    `shown` has the messages of the run so far that were written without a traceback, `aside()`
    returns a context manager in which there is room for a line.
    """

    def __init__(self, *, aside):
        super().__init__()
        #: Each run has a thread of its own where there are several at a time.
        self._of_thread = threading.local()
        self._aside = aside

    @property
    def shown(self):
        return self._of_thread.__dict__.setdefault('shown', [])

    def emit(self, record):
        line = self.format(record)
        if not record.exc_info and record.levelno >= logging.WARNING:
            self.shown.append(record.getMessage())
        with contextlib.suppress(OSError), self._aside():
            click.echo(folded(line), err=True)


class Console:
    """Standard output and standard error of one command.

    `verbosity`: -1 shows errors only, 0 warnings too, 1 the log, 2 the dialogue with the server.
    `log_file`: a path, or None.
    """

    def __init__(self, *, verbosity=0, log_file=None):
        self.verbosity = max(-1, min(verbosity, 2))
        self._log_file = log_file
        #: Whose run it is: partners run in threads.
        self._names = threading.local()
        self._unread = False
        self._bar = None
        self._journal = journal_stream.is_journal(sys.stderr, os.environ)
        self._handler = _StandardError(aside=self._aside)
        about = {'verbose': self.verbosity > 0, 'about': lambda: self._about}
        self._handler.setFormatter(Formatter(journal=self._journal, **about))
        if self.verbosity < 1 or self._journal:
            self._handler.addFilter(_NoFrame())

    @property
    def quiet(self):
        return self.verbosity < 0

    def run(self, function):
        """Call `function()`; return its exit code, or the one of what it raised, having told it.

        Raises `SystemExit` when a signal ends it, after everything was cleaned up.
        """
        level = logging.DEBUG if self.verbosity == 2 else logging.INFO
        with (
            signals.ending() as ending,
            logs.log_to(self._log_file, level=level, program=PROGRAM),
            logs.handling(self._handler, level=_LEVELS[self.verbosity]),
            self._telling_the_journal(),
        ):
            try:
                code = self.guarded(function)
                return code or (errors.FILES_FAILED if self._unread else errors.DONE)
            except SystemExit as error:
                if ending.name:
                    # What the run that was broken off has done.
                    about = ' '.join(getattr(error, '__notes__', ()))
                    log.warning('%s', f'Ended by {ending.name}. {about}'.rstrip())
                raise

    def _telling_the_journal(self):
        if not self._journal or self.verbosity < 1:
            return contextlib.nullcontext()
        return journal_stream.told_of_files(
            lambda line: self._write(f'{self._about}{line}', priority=journal_stream.INFO)
        )

    def _write(self, text, *, priority):
        """Write a line to standard error; `priority` is for the journal."""
        with contextlib.suppress(OSError):
            if self._journal:
                text = journal_stream.marked(priority, text)
            click.echo(folded(text), err=True)

    @property
    def _about(self):
        return getattr(self._names, 'about', '')

    @property
    def _title(self):
        return getattr(self._names, 'title', '')

    def guarded(self, function, *, about='', several=True):
        """Do the same with what is set up already; `about` is the name of an exporter.

        Each line on standard error meanwhile begins with it; with `several` of them, those on
        standard output do as well.
        """
        before, name = self._names.__dict__.copy(), f'{printable(about)}: ' if about else ''
        self._names.__dict__.update(about=name, title=name if several else '')
        self._handler.shown.clear()
        try:
            return function()
        except Error as error:
            # How a wrong call came about is no secret of the code.
            cause = None if isinstance(error, UsageError) else error
            log.error('%s', what_and_why(error), exc_info=cause)
            return error.exit_code
        except Exception as error:
            if place := _elsewhere(error):
                about = f'Code outside of zeit.cds failed in {place}{self._advice()}'
                log.error('%s', about, exc_info=error)
                return errors.CONFIGURATION
            log.critical('This is a bug in zeit.cds%s', self._advice(), exc_info=error)
            return errors.SOFTWARE
        finally:
            self._names.__dict__.clear()
            self._names.__dict__.update(before)

    @contextlib.contextmanager
    def progress(self):
        """Yield an `IProgress` that shows a bar on the terminal; None where that is not wanted."""
        self._bar = None if self.quiet else progress_bar.bar_for(sys.stderr)
        try:
            with self._bar or contextlib.nullcontext() as shown:
                yield shown
        finally:
            self._bar = None

    def _aside(self):
        return contextlib.nullcontext() if self._bar is None else self._bar.hidden()

    def _advice(self):
        return '' if self.verbosity > 0 else ' (run it again with -v for the traceback)'

    def say(self, text='', *, nl=True):
        """Write to standard output; if that cannot be, the exit code will tell.

        Returns whether somebody may read it.
        """
        encoding = getattr(sys.stdout, 'encoding', None) or 'utf-8'
        try:
            click.echo(text.encode(encoding, 'backslashreplace').decode(encoding), nl=nl)
        except OSError as error:
            if reason := unwritten(error):
                self._unread = True
                self.complain(reason)
            return False
        return True

    def confirms(self, question, *, otherwise, hint='Pass --yes.'):
        """Return whether a person says yes; no answer is a no, and then `otherwise` is said.

        Raises `UsageError`, with the `hint`, if there is no person at both ends.
        """
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError(f'{otherwise}: there is no terminal to ask on', hint=hint)
        self.say(question, nl=False)
        if sys.stdin.readline().strip().lower() in ('y', 'yes'):
            return True
        self.say(f'{otherwise}.')
        return False

    def complain(self, text, *, warning=False):
        """Write a line to standard error, unless it is a warning that nobody wants to see."""
        if warning and self.quiet:
            return
        if self._journal:
            number = journal_stream.WARNING if warning else journal_stream.ERROR
            self._write(f'{self._about}{text}', priority=number)
        else:
            severity = 'warning: ' if warning else ''
            self._write(f'{PROGRAM}: {severity}{self._about}{text}', priority=0)

    def tell(self, error):
        """Say what an `Error` says, and what to do about it."""
        self.complain(what_and_why(error))

    def tell_report(self, report, *, summarised=True):
        """Say what an `IReport` says and the log has not said yet.

        Unless it is `summarised`, nothing goes to standard output.
        """
        why = {why for _, why in report.failed}
        # A report made by somebody else may hold one error only.
        for error in getattr(report, 'errors', [report.error] if report.error else []):
            known = {error.message, f'{error.message}. {getattr(error, "holder", "")}'}
            # One that was met with a file was told of that.
            with_file = not error.while_connecting and printable(error.advice, limit=REASON) in why
            if not with_file and known.isdisjoint(self._handler.shown):
                warning = error.exit_code == errors.COME_BACK_LATER
                self.complain(what_and_why(error), warning=warning)
        for result in report.results if summarised else ():
            if result.status == 'planned' and not self.quiet:
                self.say(f'{self._title}{printable(result.name)} ({file_size(result.size)})')
        if summarised:
            self._summarise(report)

    def _summarise(self, report):
        if self.quiet:
            return
        planned = any(result.status == 'planned' for result in report.results)
        if sys.stdout.isatty() or planned:
            if report.results or not report.error:
                self.say(self._title + summary(report))
        elif report.failed and not self._journal:
            self.complain(summary(report))  # the journal has a line for each


def summary(report):
    """Return what became of the files of a run in one line: `3 files delivered (1.2 MiB), ...`."""
    sizes = {}
    for result in report.results:
        sizes.setdefault(result.status, []).append(result.size)
    done = getattr(report, 'done', 'delivered')
    if not sizes:
        return 'Nothing to import.' if done == 'imported' else 'Nothing to deliver.'
    if 'planned' in sizes:
        sent, verb = sizes.pop('planned'), f'would be {done}'
    else:
        sent, verb = sizes.pop('delivered', []), done
    parts = [f'{plural(len(sent), "file")} {verb} ({file_size(sum(sent))})']
    sizes.setdefault('failed', [])
    parts += [
        f'{len(sizes[status])} {words}'
        for status, words in (
            ('failed', 'failed'),
            ('parked', 'parked'),
            ('skipped', 'skipped'),
            ('gone', 'disappeared'),
            ('withdrawn', 'withdrawn'),
            ('held', 'held'),
            ('retracted', 'retracted'),
            ('kept', 'not removed on the server'),
        )
        if status in sizes
    ]
    return ', '.join(parts)
