"""Values of directives that come from the product configuration of the application.

A directive with `product_config="SECTION/KEY"` takes what that section says, instead of what its
attributes say.  A spool's directory is the value of KEY; the other directives have a key for each
attribute, KEY-ATTRIBUTE with hyphens: `agency-host`, `agency-password-file`.

Values are looked up while ZCML is executed: whoever sets them does that before, as zeit.cms does,
and what is wrong ends the start of the application.
"""

import os

import zope.component
import zope.interface
import zope.schema
from zope.configuration.exceptions import ConfigurationError as ZCMLError

from zeit.cds.interfaces import IProductConfiguration
from zeit.cds.option_types import PATH
from zeit.cds.text import printable


#: The attribute that says where values are.
ATTRIBUTE = 'product_config'


@zope.interface.implementer(IProductConfiguration)
class AppSetup:
    """See `IProductConfiguration`; the sections that zope.app.appsetup knows."""

    def __call__(self, package, key):
        """See `IProductConfiguration`."""
        import zope.app.appsetup.product

        section = zope.app.appsetup.product.getProductConfiguration(package)
        return None if section is None else section.get(key)


class Late:
    """A factory for what a directive registers, called when ZCML is executed.

    `make` is called with the values of `schema`: those in `given` and those that the product
    configuration has at `place`.
    """

    def __init__(self, make, *, schema, place, given):
        self._make = make
        self._schema = schema
        self._place = place
        self._given = given
        #: What it has made, None before; and if something else was registered in its place.
        self.component = None

    def __repr__(self):
        # A password may be among the values.
        return f'<Late {self._schema.__name__} from {self._place!r}>'

    def __call__(self):
        """Return the component.  Raises ZCML's `ConfigurationError` for values that are wrong."""
        given = self._given | dict(_values(self._schema, *self._place.split('/')))
        for name in missing(self._schema, given):
            section, key = _key(self._schema, name, *self._place.split('/'))
            raise ZCMLError(
                f'Missing parameter: {name!r}; product configuration {section!r} has no {key!r}.'
                ' Set it before ZCML is executed, or give the attribute as a default'
            )
        self.component = self._make(**given)
        return self.component


def required(schema, given):
    """Return the values `given`, a dictionary.

    Raises ZCML's `ConfigurationError` if one is missing that `schema` cannot be without.
    """
    for name in missing(schema, given):
        raise ZCMLError(f'Missing parameter: {name!r}')
    return given


def missing(schema, given):
    """Return the names of what `schema` cannot be without and is not in `given`.

    They cannot be required fields: zope.configuration would want them in the ZCML file.
    """
    fields = zope.schema.getFieldsInOrder(schema)
    return [name for name, field in fields if field.option.needed and name not in given]


def _values(schema, section, key):
    """Yield (attribute, value) of what the product configuration has."""
    accessor = zope.component.queryUtility(IProductConfiguration)
    if accessor is None:
        return
    for attribute, field in zope.schema.getFieldsInOrder(schema):
        if attribute in ('name', ATTRIBUTE):
            continue
        where = _key(schema, attribute, section, key)
        converted = _converted(field, accessor, where)
        if converted is not None:
            yield attribute, converted


def _key(schema, attribute, section, key):
    if attribute == schema.queryTaggedValue('value'):
        return section, key
    return section, f'{key}-{attribute.replace("_", "-")}'


def _converted(field, accessor, where):
    """Return the value for a field, None if there is none."""
    try:
        value = accessor(*where)
        if value is None:
            return None
        value = _text(value)
        if field.option.kind is PATH and not _is_absolute(value):
            raise zope.schema.ValidationError(f"'{printable(value)}' is not an absolute path")
        return field.bind(None).fromUnicode(value)
    except zope.schema.ValidationError as error:
        problem = str(error)
    # Outside of the handler, and without the value: no frame of this error has a password in it.
    del value
    section, key = where
    raise ZCMLError(f'Product configuration {section!r}, key {key!r}: {problem}')


def _text(value):
    if isinstance(value, (str, int, float)):  # True and False are of these
        return str(value)
    # Not the value itself, which may be a password.
    kind = type(value).__name__
    raise zope.schema.ValidationError(f'The value is of the type {kind}, and should be a text')


def _is_absolute(text):
    # It stands in no file that a relative one could start from.
    return os.path.isabs(os.path.expanduser(os.path.expandvars(text)))
