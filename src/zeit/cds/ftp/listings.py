"""What is in a directory: MLSD (RFC 3659 section 7), or NLST (RFC 959 section 4.1.3).

LIST is asked only where nothing else tells times: its format is the server's.
"""

import itertools
import logging

from zeit.cds.errors import (
    CONFIGURATION,
    FILES_FAILED,
    UNAVAILABLE,
    ListingTooLong,
    ServerError,
)
from zeit.cds.ftp import login, parsing, reply_errors
from zeit.cds.ftp.capabilities import Listing
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Largest listing that is read, in bytes.
MAX_LISTING = 32 * 1024 * 1024

#: Most entries of a directory that are kept.
MAX_ENTRIES = 125_000

#: The command is not implemented (RFC 959 section 4.2), not: it was refused in this case.
UNKNOWN = (402, 500, 501, 502, 504, 522)

#: What servers answer to NLST in an empty directory (inetutils).
EMPTY = (450, 550)


class Listings:
    """Looks into directories: by `transfers`, between commands of `pipeline` and `files`."""

    def __init__(self, transfers, *, pipeline, files):
        self._control = pipeline.control
        self._transfers = transfers
        self._pipeline = pipeline
        self._files = files

    def list_names(self, *, inside=''):
        """Return the set of names in the directory, or in the one `inside` of it.

        See `_facts` for how.
        """
        if not inside:
            return _last_segments(self._facts())
        self._go_into(inside)
        try:
            found = _last_segments(self._facts(known=False))
            self._pipeline.command('CDUP')
            return found
        except BaseException:
            self._control.drop()  # rather a new connection than one in the wrong directory
            raise

    def list_by(self, listing):
        """Return the names in the directory as this `Listing` shows them, and no other."""
        return _last_segments(self._listing(listing))

    def _go_into(self, directory):
        """Change into a directory of the one that we are in.

        A server may refuse to and do it all the same, and what is sent next would get lost there.
        """
        try:
            self._pipeline.command('CWD', directory)
        except ServerError:
            if self._control.settings.directory.startswith('/'):
                login.enter_directory(self._pipeline)
            else:
                self._control.drop()
            raise

    def list_facts(self):
        """See `ISession.facts`."""
        return {
            _last_segment(name): (None if fact.is_directory else fact.size, fact.modified)
            for name, fact in self._facts().items()
        }

    def list_resting(self, name):
        """See `ISession.resting`."""
        facts, _ = self._transferred(Listing('LIST'))
        now = facts.get(name, parsing.NO_FACTS).time
        return {
            each: fact.size
            for each, fact in facts.items()
            if parsing.is_minutes_before(fact.time, now)
        }

    def list_files(self, *, wanted=None, most=None):
        """See `ISession.files`."""
        facts, directory = self._facts(), self._control.settings.directory
        found = {
            parsing.nlst_name(name, directory=directory): (fact.size, fact.modified)
            for name, fact in facts.items()
            if not fact.is_directory
        }
        capabilities = self._control.capabilities
        if capabilities.listings[0].verb == 'MLSD' or not wanted:
            return found
        if capabilities.sizes_directories is None:
            answer = self._control.ask('SIZE', '.')
            capabilities.sizes_directories = answer.verdict == reply_errors.DONE
        return self._with_facts(found, wanted, most)

    def _with_facts(self, found, wanted, most):
        """Return `found` with the facts of what is wanted, and without what is a directory.

        SIZE is refused for a directory, but also for a file that somebody has in use.
        """
        without = []
        names = itertools.islice(filter(wanted, sorted(found)), most)
        for name, fact in self._files.look_at_all(names):
            if fact is None:
                without.append(name)
            else:
                found[name] = fact
        if self._control.capabilities.sizes:  # else the refusals say nothing
            for name in filter(self._files.is_directory, without):
                del found[name]
        return found

    def _facts(self, *, known=True):
        """Return what is in the directory, a dictionary: the `parsing.Facts` by name.

        A name is what stands in the line: with NLST it may be a path.  Every way to list is tried
        until the server does not refuse one, and, if `known`, shows what is known to be there.
        Where they all are refused by 450 or 550 the directory may be empty: after CWD has
        succeeded, some servers say so.
        """
        capabilities = self._control.capabilities
        merged, answered, refusals = {}, [], []
        for listing in capabilities.listings:
            try:
                facts = self._listing(listing)
            except ServerError as error:
                if not self._control.usable or error.verb not in (listing.verb, 'TYPE', ''):
                    raise
                log.debug('No listing by %s: %s', listing, printable(error.message))
                refusals.append(error)
                if is_unknown(error):
                    capabilities.abandon(listing)
                continue
            is_known = known and capabilities.known
            if not is_known or capabilities.is_shown(_last_segments(facts)):
                capabilities.prefer(listing)
                return facts
            log.debug('The listing by %s does not show what is there', listing)
            merged = {**facts, **merged}
            answered.append(listing)
        if answered:
            # No other one is better, also next time.
            capabilities.listings = tuple(answered[:1])
            return merged
        telling = [error for error in refusals if not is_unknown(error)]
        if telling and all(error.code in EMPTY for error in telling):
            return {}
        raise _advised((telling or refusals)[0])

    def _listing(self, listing):
        """Return what one way to list tells, a dictionary as that of `_facts`."""
        facts, undecoded = self._transferred(listing)
        if undecoded and self._control.use_utf8():
            facts, _ = self._transferred(listing)
        return facts

    def _transferred(self, listing):
        """Return (what `_listing` does, whether there is a name that is not in our encoding)."""
        if listing.type == 'I' or self._control.capabilities.image is False:
            return self._received(listing)  # without TYPE I it is A all the time
        self._control.command('TYPE', listing.type)
        try:
            return self._received(listing)
        finally:
            if self._control.usable:
                self._binary_again()

    def _binary_again(self):
        try:
            self._control.command('TYPE', 'I')
        except BaseException:
            self._control.drop()
            raise

    def _received(self, listing):
        lines = parsing.Lines(encoding=self._control.settings.encoding)
        entry = _ENTRIES[listing.verb]
        found = {}
        data = self._transfers.open_data(listing.verb, listing.argument)
        try:
            with data:
                for name, facts in filter(None, map(entry, self._lines(data, lines))):
                    found[name] = facts
                    if len(found) > MAX_ENTRIES:
                        raise ListingTooLong(
                            f'The directory has more than {MAX_ENTRIES} entries',
                            hint='Ask its operator to have old files removed.',
                        )
            self._control.final()
            if data.truncated:
                # There is no size to compare; locks are looked for by their names as well.
                log.debug('The server did not end TLS behind the listing')
        except BaseException:
            self._control.drop()
            raise
        return found, lines.undecoded

    def _lines(self, data, lines):
        """Yield the lines that come over the connection `data`."""
        total = 0
        for chunk in self._transfers.pieces(data, activity='reading the directory'):
            total += len(chunk)
            if total > MAX_LISTING:
                raise ListingTooLong('The directory listing has no end')
            yield from lines.feed(chunk)
        yield from lines.end()


def is_unknown(error):
    """Return whether a refused listing says that this way to list does not work there.

    So does 2xx, a success, in place of one.
    """
    return error.code in UNKNOWN or error.code < 400


def _nlst_entry(line):
    """Return what `parsing.mlsd_entry` does, of one line of NLST."""
    return None if _last_segment(line) in ('', '.', '..') else (line, parsing.NO_FACTS)


_ENTRIES = {'MLSD': parsing.mlsd_entry, 'NLST': _nlst_entry, 'LIST': parsing.long_entry}


def _last_segment(path):
    return path.rpartition('/')[2]


def _last_segments(paths):
    return set(map(_last_segment, paths))


def _advised(error):
    """Return the refusal of a listing: it concerns no file, but the run."""
    if error.exit_code == FILES_FAILED:
        error.exit_code = UNAVAILABLE if error.transient else CONFIGURATION
    if not error.hint:
        error.advise(
            'The server does not list the directory, so nobody can see what is in it, not even a '
            'lock. Ask its operator.'
        )
    return error
