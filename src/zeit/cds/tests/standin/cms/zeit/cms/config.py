"""The product configuration: strings by package and key."""

_settings = {}


def set(package, key, value):  # noqa: A001 as in zeit.cms
    """Set a value; None removes it."""
    section = _settings.setdefault(package, {})
    if value is None:
        section.pop(key, None)
    else:
        section[key] = value


def get(package, key, default=None):
    """Return a value (str), or `default` if there is none."""
    return _settings.get(package, {}).get(key, default)
