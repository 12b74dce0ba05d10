"""Certificates: whose they are, and until when they are good (X.509, RFC 5280).

The `ssl` module tells that of a certificate only when it has been verified, and not of ours.
"""

import datetime
import re
import ssl
from typing import NamedTuple

from zeit.cds.text import from_timestamp, printable


_PEM = re.compile('-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----', re.DOTALL)

# Tags of DER (X.690): a sequence, times, the version and the extensions of a certificate, the names
# in the extension `subjectAltName`.
_SEQUENCE, _UTC, _TIME = 0x30, 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS, _ADDRESS = 0x82, 0x87

#: The object identifiers of commonName and subjectAltName (RFC 5280 appendix A), encoded.
_COMMON_NAME = b'\x55\x04\x03'
_ALTERNATIVES = b'\x55\x1d\x11'


class Certificate(NamedTuple):
    """The names in a certificate, and when it `expires` (aware datetime)."""

    names: list
    expires: datetime.datetime

    def days(self, now):
        """Return how many days it is good from `now` (seconds since the epoch), below 0: none."""
        return (self.expires - from_timestamp(now)).total_seconds() / 86400


def in_file(path):
    """Return the certificates in a file (PEM).  Raises OSError, ValueError."""
    with open(path, encoding='ascii', errors='replace') as file:
        return [parse(ssl.PEM_cert_to_DER_cert(each)) for each in _PEM.findall(file.read())]


def parse(data):
    """Return the `Certificate` of `data` (DER).  Raises ValueError."""
    try:
        (_, outer), *_ = _values(data)
        (_, body), *_ = _values(outer)
        fields = [each for each in _values(body) if each[0] != _VERSION]
        _, _, _, (_, validity), (_, subject), *others = fields
        _, (tag, until) = _values(validity)
        named = [*_named(subject)]
        common = [name for kind, name in named if kind == _COMMON_NAME]
        names = _alternatives(others) or common or [name for _, name in named]
        return Certificate([printable(name) for name in names], _moment(tag, until))
    except (IndexError, ValueError) as error:
        raise ValueError('This is not a certificate') from error


def _values(data):
    """Yield (tag, content) of what follows one another in `data`."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length > 127:
            size = length - 128
            length, at = int.from_bytes(data[at : at + size], 'big'), at + size
        yield tag, data[at : at + length]
        at += length


def _moment(tag, content):
    if tag not in (_UTC, _TIME):
        raise ValueError(tag)
    form = '%y%m%d%H%M%SZ' if tag == _UTC else '%Y%m%d%H%M%SZ'
    return datetime.datetime.strptime(content.decode('ascii'), form).replace(tzinfo=datetime.UTC)


def _named(subject):
    """Yield (what it is, an object identifier, and the text) of each part of a name."""
    for _, several in _values(subject):
        for _, pair in _values(several):
            (_, kind), (_, name) = _values(pair)
            yield kind, name.decode('utf-8', 'backslashreplace')


def _alternatives(fields):
    found = []
    for _, several in (each for each in fields if each[0] == _EXTENSIONS):
        ((_, extensions),) = _values(several)
        for _, extension in _values(extensions):
            (_, kind), *_, (_, content) = _values(extension)
            if kind == _ALTERNATIVES:
                ((_, names),) = _values(content)
                found += [_name(*each) for each in _values(names)]
    return [*filter(None, found)]


def _name(tag, content):
    if tag == _DNS:
        return content.decode('ascii', 'backslashreplace')
    if tag == _ADDRESS:
        import ipaddress

        return str(ipaddress.ip_address(content))
    return ''
