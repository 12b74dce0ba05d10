"""What an application may put in place of our own."""

from zope.interface import Attribute, Interface


class ISource(Interface):
    """Where the page has its facts from; see `zeit.cds.browser.source`."""

    elsewhere = Attribute('URL of the page where the spools are; None: they are here')
    acts = Attribute('Whether something can be done about the spools from here')

    def select():
        """Return the spools of this machine: `zeit.cds.cli.selection.SelectedSpool`s, a list."""

    def objects():
        """Return what the page shows of each spool, a list of dictionaries.

        As long as it is the very same list, nobody has looked anew.
        """

    def everything():
        """Return what `zeit-cds status --json` prints, a list of dictionaries."""

    def find(text):
        """Return what is known of files and contents that have a text in their name or id."""

    def of(content):
        """Return the same as `find` of the content with this id, and of no other."""

    def forget():
        """Let the next one who asks get what is so now."""


class ISite(Interface):
    """What is answered to requests; see `zeit.cds.browser.responses.Site`."""

    source = Attribute('An `ISource`')
