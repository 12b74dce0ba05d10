"""The product configuration: strings by package and key."""

_settings = {}


def package(pkg):
    """Return the mapping of a package."""
    return _settings.setdefault(pkg, {})


def get(pkg, key, default=None):
    """Return a value (str), or `default` if there is none."""
    return package(pkg).get(key, default)


def required(pkg, key):
    """Return a value.  Raises KeyError if there is none."""
    return package(pkg)[key]


def set(pkg, key, value):  # noqa: A001 as in zeit.cms
    """Set a value."""
    package(pkg)[key] = value
