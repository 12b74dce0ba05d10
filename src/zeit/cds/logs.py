"""What this package logs: where it goes, for the time of one call."""

import contextlib
import logging


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
    """Let `handler` get what this package logs from `level` on, as long as the context lasts."""
    logger = logging.getLogger(PACKAGE)
    before = logger.level
    handler.setLevel(level)
    logger.addHandler(handler)
    logger.setLevel(min(level, logger.getEffectiveLevel()))
    try:
        yield handler
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
        handler.close()
