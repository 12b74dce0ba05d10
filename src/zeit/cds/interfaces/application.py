"""What connects us with the application around us: its settings, its publications."""

from zope.interface import Interface


class IProductConfiguration(Interface):
    """Where an application keeps settings: strings, by package and key.

    The utility without a name is asked while ZCML is executed.  The one of zeit.cms is registered
    where that is installed, otherwise the one of zope.app.appsetup.
    """

    def __call__(package, key):
        """Return the value (str), or None if there is none."""
