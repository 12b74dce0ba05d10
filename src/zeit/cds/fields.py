"""Schema fields for ZCML whose errors say what is wanted.

What zope.schema says, `ConstraintNotSatisfied: ('x', 'exists')`, is for programmers.
"""

import zope.configuration.fields
import zope.schema

from zeit.cds import settings
from zeit.cds.errors import ConfigurationError
from zeit.cds.text import printable


#: Bounds of a time-out, in seconds.
SHORTEST, LONGEST = 0.1, 86400


class Explained:
    """A field whose error says what it wants: `wanted` completes 'This is not ...'.

    With `secret` neither the error nor its attributes repeat the value.  `blank` lets it be empty.
    """

    @staticmethod
    def made_of(value):
        """Return what takes the place of a value that is valid."""
        return value

    def __init__(self, *, wanted, secret=False, blank=False, **kw):
        self.wanted = wanted
        self.secret = secret
        self.blank = blank
        super().__init__(**kw)

    def fromUnicode(self, value):  # noqa: N802 the name is the one of IFromUnicode
        """Return the converted value.  Raises `zope.schema.ValidationError`."""
        try:
            if not (value.strip() or self.secret or self.blank):
                # An empty path would become the directory of the ZCML file.
                raise zope.schema.ValidationError(value)
            converted = super().fromUnicode(value)
            self.validate(converted)
            return self.made_of(converted)
        except zope.schema.ValidationError:
            problem = self._problem(value)
        # Outside of the handler, and without the value: no frame of this error has a secret in it.
        del value
        raise zope.schema.ValidationError(problem)

    def _problem(self, value):
        shown = 'This' if self.secret else f"'{printable(value)}'"
        return f'{shown} is not {self.wanted}'


class Line(Explained, zope.schema.TextLine):
    """A text without line ends, not empty."""

    def _problem(self, value):
        if not value.strip() and not self.secret:
            return f'{self.__name__} must not be empty'
        return super()._problem(value)


class Password(Line):
    """A password on one line, which may be empty; it is converted to a `Secret`."""

    def __init__(self, **kw):
        super().__init__(wanted='a password on one line', secret=True, blank=True, **kw)

    made_of = settings.Secret


class Path(Explained, zope.configuration.fields.Path):
    """A path, relative to the ZCML file; ~ and $VARIABLE are expanded."""

    def __init__(self, **kw):
        super().__init__(wanted='a path', **kw)


class Number(Explained, zope.schema.Int):
    """A whole number."""


class Seconds(Explained, zope.schema.Float):
    """A time-out in seconds."""

    def __init__(self, *, default, wanted='', **kw):
        super().__init__(
            wanted=wanted or f'a number of seconds from {SHORTEST} to {LONGEST}',
            default=float(default),  # 30 is none, says zope.schema
            **kw,
        )

    def constraint(self, value):
        """Return whether `value` is in the range; NaN slips through `min` and `max`."""
        return SHORTEST <= value <= LONGEST


class Deadline(Seconds):
    """A time in seconds, or 0 for none."""

    def __init__(self, **kw):
        super().__init__(wanted=f'a number of seconds from 0 to {LONGEST}', **kw)

    def constraint(self, value):
        """Return whether `value` is in the range; NaN is not."""
        return 0 <= value <= LONGEST


class OneOf(Explained, zope.schema.Choice):
    """One of a few words, `values`."""

    def __init__(self, *, values, **kw):
        super().__init__(values=values, wanted='one of: ' + ', '.join(values), **kw)


class YesNo(Explained, zope.configuration.fields.Bool):
    """`yes` or `no`; also the other words that ZCML has for them."""

    def __init__(self, **kw):
        super().__init__(wanted='yes or no', **kw)


class Encoding(Line):
    """The name of a character encoding in which ASCII is ASCII: FTP commands are."""

    def __init__(self, **kw):
        super().__init__(wanted='an encoding', **kw)

    def _problem(self, value):
        if not value.strip():
            return super()._problem(value)
        return f"'{printable(value)}' is no encoding that includes ASCII"

    def constraint(self, value):
        """Return whether `value` is such a name."""
        try:
            return bool(settings.encoding(value))
        except ConfigurationError:
            return False
