"""The spool's journal, as the deliveries of one run to one target see it; or none."""

import contextlib

import zope.interface

from zeit.cds.interfaces import ILedger


@zope.interface.implementer(ILedger)
class Ledger:
    """The spool's journal, as the deliveries to one target see it: see `ILedger`."""

    def __init__(self, journal, *, url):
        self._journal = journal
        self._url = url
        self._numbers = {}

    def numbered(self, name, number):
        """Remember the number of the version of `name` that is sent next, see `ISource`."""
        self._numbers[name] = number

    def together(self):
        """See `ILedger`."""
        return self._journal.together()

    def uploaded(self, name, **details):
        """See `ILedger`."""
        number = self._numbers.get(name, 0)
        self._journal.uploaded(target=self._url, name=name, sequence=number, **details)

    def abandoned(self, name):
        """See `ILedger`."""
        self._journal.abandoned(target=self._url, name=name)

    def aside(self, name, aside, *, replaced=False):
        """See `ILedger`."""
        self._journal.aside(target=self._url, name=name, aside=aside, replaced=replaced)

    def exposed(self, name, **details):
        """See `ILedger`."""
        self._journal.exposed(target=self._url, name=name, **details)

    def tidied(self, name):
        """See `ILedger`."""
        self._journal.tidied(target=self._url, name=name)

    def uncertain(self):
        """Return the uploads of earlier runs, by name, whose end is not known."""
        return self._journal.uploads(self._url)

    def settle(self, uploads, *, spool):
        """Find out about `uploads` (by name) of files that do not wait in `spool` any more.

        What is in `cur/` was filed, and the run was killed before that was noted.
        """
        for name, upload in uploads.items():
            filed = upload['sha256'] and spool.filed(name, sha256=upload['sha256'])
            if filed:
                since = upload.get('at', '')
                self.delivered(name, filed_as=filed, since=since, **known(upload))
            else:
                self.abandoned(name)

    def arrived(self, name, *, version, **details):
        """Remember that this `version` of `name` is delivered, and could not be filed."""
        self._journal.uploaded(
            target=self._url, name=name, temporary='', version=[*version], **details
        )

    def delivered(self, name, **details):
        """Write the receipt: see `Journal.delivered`."""
        self._journal.delivered(target=self._url, name=name, **details)


@zope.interface.implementer(ILedger)
class NoLedger:
    """A ledger that remembers nothing: see `ILedger`."""

    def together(self):
        """See `ILedger`."""
        return contextlib.nullcontext()

    def uploaded(self, name, **details):
        """See `ILedger`."""

    def abandoned(self, name):
        """See `ILedger`."""

    def aside(self, name, aside, *, replaced=False):
        """See `ILedger`."""

    def exposed(self, name, **details):
        """See `ILedger`."""

    def tidied(self, name):
        """See `ILedger`."""


def known(upload):
    """Return what a receipt tells about an upload of an earlier run."""
    known = {key: upload[key] for key in ('size', 'sha256', 'reply')}
    return {**known, 'sequence': upload.get('sequence', 0)}


def was_delivered(upload, source, *, name, session):
    """Return whether the open `source` is on the server as `name` since an earlier `upload`.

    In doubt it is not, and is sent again: the journal must know the upload as complete, with this
    very content; its temporary must have got another name; the size on the server must agree.
    Of what could not be filed, see `Ledger.arrived`, there is no doubt, wherever it is by now.
    """
    if source.size != upload['size']:
        return False
    digest = source.digest()
    if upload.get('version') == [*source.version] and upload['sha256'] in ('', digest):
        return True
    if digest != upload['sha256']:
        return False
    if upload['temporary'] and session.exists(upload['temporary']):
        return False
    return session.size(name) == upload['size']
