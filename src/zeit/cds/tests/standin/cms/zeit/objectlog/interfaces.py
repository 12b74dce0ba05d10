"""What has happened to content."""

import zope.interface


class IObjectLog(zope.interface.Interface):
    """A utility."""

    def log(object, message):
        """Add a line for `object`, from the principal of the interaction."""

    def get_log(object):
        """Return the lines, the oldest first."""
