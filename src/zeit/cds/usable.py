"""Whether a run could use a spool and a target as they are."""

from zeit.cds.interfaces import IUsable


def require_usable(*parts):
    """Look at spools and targets; those that somebody else made are looked at if `IUsable`.

    Raises `ConfigurationError` for the first that a run could not use as it is.
    """
    for part in parts:
        if IUsable.providedBy(part):
            part.require_usable()
