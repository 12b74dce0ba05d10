"""What an option is: one description, of which everything else about it is made.

That is the field of the class that takes the value, the option of the command line, the attribute
in ZCML, the key of the product configuration, and the row of a table in the documents.
"""

import codecs
import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from zeit.cds.errors import ConfigurationError
from zeit.cds.text import printable


#: The longest time that can be given, in seconds.
LONGEST_SECONDS = 86400

#: What encodings that include ASCII leave as it is: others have a meaning for ESC or a backslash.
_ASCII = ''.join(map(chr, range(128))) + '\x1b$B!!\\u0041'

_WORDS = {word: True for word in ('yes', 'true', 'y', 't', '1')}
_WORDS |= {word: False for word in ('no', 'false', 'n', 'f', '0')}


class Kind(NamedTuple):
    """What values an option takes.

    `wanted` completes 'This is not ...', `metavar` is what the help calls a value.  `convert` makes
    a value of a text, or raises ValueError; `fits` says whether a value is within its bounds.  With
    `secret` no error repeats the text.
    """

    wanted: str
    metavar: str = ''
    convert: Callable = str
    fits: Callable = lambda value: True
    secret: bool = False

    def read(self, text):
        """Return the value that `text` stands for.  Raises ValueError: what was wanted."""
        # A time may be before the first year, or after the last.
        with contextlib.suppress(ValueError, OverflowError):
            value = self.convert(text)
            if self.fits(value):
                return value
        if self.secret:
            raise ValueError(f'This is not {self.wanted}')
        raise ValueError(f"'{printable(text)}' is not {self.wanted}")


def _yes_or_no(text):
    if text.lower() not in _WORDS:
        raise ValueError(text)
    return _WORDS[text.lower()]


def is_one_line(text):
    """Return whether `text` has no end of a line in it."""
    return not re.search(r'[\r\n]', text)


def _is_encoding(name):
    """Return whether `name` is a character encoding in which ASCII is ASCII: commands are."""
    data = _ASCII.encode('ascii')
    try:
        return codecs.encode(_ASCII, name) == data and codecs.decode(data, name) == _ASCII
    except (LookupError, ValueError, TypeError):
        return False


def line(wanted, metavar):
    """Return the kind of a text on one line that is not empty."""
    return Kind(wanted, metavar, fits=lambda text: bool(text.strip()) and is_one_line(text))


def one_of(*words):
    """Return the kind of an option that is one of a few words."""
    return Kind(f'one of: {", ".join(words)}', f'[{"|".join(words)}]', fits=words.__contains__)


def whole(least, *, metavar='N'):
    """Return the kind of a whole number that is at least `least`."""
    return Kind(f'a whole number, at least {least}', metavar, int, lambda value: value >= least)


YES_NO = Kind('yes or no', convert=_yes_or_no, fits=(True, False).__contains__)
TEXT = line('a non-empty text on one line', 'TEXT')
PATH = Kind('a path', 'FILE', fits=lambda value: bool(str(value).strip()))
PORT = Kind('a port: a number from 1 to 65535', 'N', int, lambda value: 0 < value < 65536)
ENCODING = Kind('an encoding that includes ASCII', 'NAME', fits=_is_encoding)

# NaN is in no range.
SECONDS = Kind(
    f'a number of seconds above 0, at most {LONGEST_SECONDS}',
    'SECONDS',
    float,
    lambda value: 0 < value <= LONGEST_SECONDS,
)
SECONDS_OR_0 = Kind(
    f'a number of seconds from 0 to {LONGEST_SECONDS}',
    'SECONDS',
    float,
    lambda value: 0 <= value <= LONGEST_SECONDS,
)


_UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}


def span(text):
    """Return the seconds of a time such as 90s or 30d; a number alone might mean anything."""
    if not re.fullmatch(r'[0-9]{1,6}[smhd]', text):
        raise ValueError(text)
    return int(text[:-1]) * _UNITS[text[-1]]


SPAN = Kind('a time such as 90s, 15m, 2h or 1d', 'TIME', span, lambda value: value >= 0)


class Option(NamedTuple):
    """An option: its name as ZCML has it, what it does, and which values it takes.

    `unset` says what happens where it has neither a value nor a default.  `cli` and `zcml` tell
    where it can be set.  What is `needed` must be set in ZCML, or in the product configuration.
    """

    name: str
    kind: Kind
    help: str
    default: object = None
    unset: str = 'none'
    cli: bool = True
    zcml: bool = True
    needed: bool = False

    @property
    def flag(self):
        """The option as the command line has it."""
        return f'--{self.name.replace("_", "-")}'

    @property
    def shown(self):
        """The default, as it would be written."""
        if self.kind is YES_NO:
            return 'yes' if self.default else 'no'
        return self.unset if self.default is None else str(self.default)


def described(default, kind, text, *, name='', **further):
    """Return a field of a dataclass that is an option; `text` is its help.

    `name` is that of the option, where it is not that of the field.
    """
    known = None if default is dataclasses.MISSING else default
    option = Option(name, kind, text, known, **further)
    return dataclasses.field(default=default, metadata={'option': option})


class Values:
    """The values of the options that a class has; read only, given by name, compared by value.

    Each subclass becomes a dataclass.  But dataclasses would compile methods for each of them, at
    each start: a tenth of the time of a run that finds nothing to do.

    Raises `ConfigurationError` for values that make no sense: `__post_init__` says which do.
    """

    def __init_subclass__(cls):
        dataclasses.dataclass(init=False, repr=False, eq=False)(cls)

    def __init__(self, **given):
        for field in dataclasses.fields(self):
            value = given.pop(field.name, field.default)
            if value is dataclasses.MISSING:
                raise TypeError(f'{type(self).__name__} needs the argument {field.name}')
            object.__setattr__(self, field.name, value)
        if given:
            raise TypeError(f'{type(self).__name__} takes no argument {", ".join(given)}')
        self.__post_init__()

    def __post_init__(self):
        require_fit(self)

    def __repr__(self):
        shown = (f'{f.name}={getattr(self, f.name)!r}' for f in dataclasses.fields(self) if f.repr)
        return f'{type(self).__qualname__}({", ".join(shown)})'

    def __eq__(self, other):
        return self._compared == other._compared if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash(self._compared)

    @property
    def _compared(self):
        return tuple(getattr(self, each.name) for each in dataclasses.fields(self) if each.compare)

    def __setattr__(self, name, value):
        raise dataclasses.FrozenInstanceError(f'{name} cannot be changed: dataclasses.replace')

    def __delattr__(self, name):
        raise dataclasses.FrozenInstanceError(f'{name} cannot be removed')


@functools.cache
def options(kind):
    """Return the options of a dataclass by the names of its fields."""
    found = {each.name: each.metadata['option'] for each in dataclasses.fields(kind)
             if 'option' in each.metadata}  # fmt: skip
    return {field: each._replace(name=each.name or field) for field, each in found.items()}


def require_fit(values):
    """Raise `ConfigurationError` if a value of a dataclass is not what its description says."""
    for field, each in options(type(values)).items():
        value = getattr(values, field)
        if value != each.default and not _fits(value, each.kind):
            shown = printable(repr(value))
            raise ConfigurationError(f'{each.name}: {shown} is not {each.kind.wanted}')


def _fits(value, kind):
    try:
        return kind.fits(value)
    except (TypeError, ValueError, AttributeError):
        return False  # it is of another type, say
