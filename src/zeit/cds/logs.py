"""What this package logs: where it goes, for the time of one call."""

import contextlib
import logging
import threading


#: The logger of everything in this package.
PACKAGE = 'zeit.cds'


@contextlib.contextmanager
def log_to(path, *, level=logging.INFO, program=PACKAGE):
    """Write what this package logs also to the file `path`, as long as the context lasts.

    None: no file.  Others may put it away meanwhile: what follows goes to a new one.  If the file
    cannot be written there is a warning on standard error, which begins with `program`, and
    everything else goes on.
    """
    if path is None:
        yield
        return
    # It brings much of the standard library along; only who wants a file waits for that.
    from zeit.cds.logfile import LogFile, complain

    try:
        handler = LogFile(path, program=program)
    except OSError as error:
        complain(str(path), error, program=program)
        yield
        return
    with handling(handler, level=level):
        yield


@contextlib.contextmanager
def unheard():
    """Let nothing be printed of what this package logs where no logging is set up.

    Python's handler of last resort would write warnings to standard error.  Whoever has set up
    logging gets everything as before.
    """
    logger, handler = logging.getLogger(PACKAGE), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def handling(handler, *, level):
    """Let `handler` get what this package logs from `level` on, as long as the context lasts.

    What a thread logs that is inside another such context is that one's, and not for `handler`.
    """
    logger = logging.getLogger(PACKAGE)
    call = _Call(level)
    handler.setLevel(level)
    handler.addFilter(call)
    with _CHANGING:
        before = _calls(logger)
        call.normal = before[0].normal if before else logger.level
        logger.addHandler(handler)
        _set_level(logger, call.normal)
    try:
        yield handler
    finally:
        with _CHANGING:
            logger.removeHandler(handler)
            _set_level(logger, call.normal)
        handler.removeFilter(call)
        handler.close()


#: Held where handlers and level of the logger change together.
_CHANGING = threading.Lock()


class _Call(logging.Filter):
    """What tells the records of one context from those of others: the thread it is in.

    `normal` is the level of the logger outside of all contexts.
    """

    def __init__(self, level):
        super().__init__()
        self.level = level
        self.normal = logging.NOTSET
        self._thread = threading.get_ident()

    def filter(self, record):
        """Return whether a record is of this context, or of none."""
        others = {call._thread for call in _calls(logging.getLogger(PACKAGE))}
        return record.thread == self._thread or record.thread not in others


def _calls(logger):
    filters = [each for handler in logger.handlers for each in handler.filters]
    return [each for each in filters if isinstance(each, _Call)]


def _set_level(logger, normal):
    """Let the logger have its normal level, or what the contexts want that there are."""
    levels = [call.level for call in _calls(logger)]
    if levels:
        usual = normal or logger.parent.getEffectiveLevel()
        logger.setLevel(min(*levels, usual))
    else:
        logger.setLevel(normal)
