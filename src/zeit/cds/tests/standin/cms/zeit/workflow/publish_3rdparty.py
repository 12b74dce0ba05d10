"""What third parties are told of a publication: here, nothing."""


class PublisherData:
    """Collects it."""

    #: The names of those that a script leaves out.
    ignore = ()
