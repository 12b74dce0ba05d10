"""Copies that somebody works on."""

import zope.interface


class IWorkingcopy(zope.interface.Interface):
    """What one person has checked out; what is checked in is removed from it."""
