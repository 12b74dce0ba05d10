"""The product configuration: mappings by the name of the product."""

_configs = {}


def getProductConfiguration(name):  # noqa: N802 as in zope.app.appsetup
    """Return the mapping of a product, or None if there is none."""
    return _configs.get(name)


def setProductConfiguration(name, mapping):  # noqa: N802 as in zope.app.appsetup
    """Set the mapping of a product; None removes it."""
    if mapping is None:
        _configs.pop(name, None)
    else:
        _configs[name] = mapping
