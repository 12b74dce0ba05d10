"""What all content has."""

import zope.interface


class IUUID(zope.interface.Interface):
    """What identifies content wherever it is."""

    id = zope.interface.Attribute('`{urn:uuid:...}`, or None')
    shortened = zope.interface.Attribute('The same without the decoration')
