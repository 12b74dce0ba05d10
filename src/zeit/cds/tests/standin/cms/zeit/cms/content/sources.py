"""Switches: in zeit.cms they are in an XML file that is read again and again."""


class _Toggles:
    def __init__(self):
        self._known = set()

    def find(self, name):
        """Return whether the switch of this name is on."""
        return name in self._known

    def set(self, *names):
        """Switch on."""
        self._known.update(names)

    def unset(self, *names):
        """Switch off."""
        self._known.difference_update(names)


FEATURE_TOGGLES = _Toggles()
