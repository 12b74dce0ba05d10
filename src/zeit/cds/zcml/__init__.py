"""ZCML, namespace http://namespaces.zeit.de/cds: spools, targets, exporters and importers by name.

Open `schemas` for the attributes, `handlers` for what becomes of a directive, `product` for values
from the product configuration.  What a value may be is in `zeit.cds.option_types`.
"""
