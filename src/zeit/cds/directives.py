"""The attributes of the directives: schemas for `zeit.cds.zcml`.

Defaults are those of the classes that take the values.
"""

import re

import zope.interface

from zeit.cds import fields
from zeit.cds.directives_network import INetwork
from zeit.cds.ftp.settings import Settings
from zeit.cds.plan import ImportOptions, Options
from zeit.cds.target import Delivery


def _product_config(*, example):
    """Return the field that says where in the product configuration further values are."""
    return fields.Line(
        title=f'Section and key of the product configuration, such as zeit.cds/{example}',
        description='What it says goes before the other attributes; see `zeit.cds.product`.',
        wanted='a section of the product configuration and a key: section/key',
        constraint=re.compile(r'[^/\s]+/[^/\s]+\Z').match,
        required=False,
    )


_NAME = 'a name: some characters on one line'
_WORD = 'a text on one line'


class ISpoolDirective(zope.interface.Interface):
    """A spool: registers an `ISpool` utility.

    `path` must be there, here or in the product configuration, where it is the value of the key.
    """

    zope.interface.taggedValue('needs', ('path',))
    zope.interface.taggedValue('value', 'path')

    name = fields.Line(title='The name by which exporters refer to it', wanted=_NAME)
    path = fields.Path(
        title='The directory with tmp, new and cur',
        description='Must exist when a run begins; tmp, new and cur are created if missing.',
        required=False,
    )
    history = fields.Number(
        title='For how many months receipts are kept, 0 for ever',
        wanted='a whole number, at least 0',
        min=0,
        required=False,
        default=0,
    )
    product_config = _product_config(example='cds-export')


class ITargetDirective(INetwork):
    """A directory on an FTP server: registers an `ITarget` utility.

    `host` and `directory` must be there, here or in the product configuration.
    """

    zope.interface.taggedValue('needs', ('host', 'directory'))

    name = fields.Line(title='The name by which exporters refer to it', wanted=_NAME)
    product_config = _product_config(example='agency')
    host = fields.Line(title='Name or address of the server', wanted=_WORD, required=False)
    port = fields.Number(
        title='Its port',
        wanted='a port: a number from 1 to 65535',
        min=1,
        max=65535,
        required=False,
    )
    user = fields.Line(title='The account', wanted=_WORD, required=False, default=Settings.user)
    password = fields.Password(
        title='Its password',
        description='For compatibility; better use one of the three below.',
        required=False,
    )
    password_file = fields.Path(
        title='A file with the password in its first line',
        description='Read at each login; mode 600 or 640.',
        required=False,
    )
    password_env = fields.Line(
        title='An environment variable with the password',
        wanted='the name of an environment variable',
        # What was meant to be the password itself must not show up in an error.
        secret=True,
        constraint=re.compile(r'[A-Za-z_][A-Za-z0-9_]*\Z').match,
        required=False,
    )
    netrc = fields.Path(
        title='A netrc file with the password for this host and user, such as ~/.netrc',
        required=False,
    )
    directory = fields.Line(
        title='The directory on the server; "/" is its root',
        wanted=_WORD,
        required=False,
    )
    temporary = fields.YesNo(
        title='Send under a temporary name and rename when complete',
        description='no: for a server that cannot rename.',
        required=False,
        default=Delivery.temporary,
    )
    size_check = fields.YesNo(
        title='Deliver only what the server confirms by SIZE',
        description='no: for a server that does not tell sizes.',
        required=False,
        default=Delivery.size_check,
    )
    exists = fields.OneOf(
        title='When the server refuses to rename onto an existing file',
        description='replace it, or park the new file in the spool.',
        values=('replace', 'park'),
        required=False,
        default=Delivery.exists,
    )
    connections = fields.Number(
        title='How many connections work at once at most, where that is faster',
        description='1: one file after the other, in strict order.',
        wanted='a whole number, at least 1',
        min=1,
        required=False,
        default=Delivery.connections,
    )
    digest_limit = fields.Number(
        title='Of longer files, in bytes, no SHA-256 is computed',
        description='They are faster, and sent again in doubt.',
        wanted='a whole number, at least 0',
        min=0,
        required=False,
        default=Delivery.digest_limit,
    )


class IExporterDirective(zope.interface.Interface):
    """An exporter: registers an `IExporter` utility.

    `spool` and `target` must be there, here or in the product configuration.
    """

    zope.interface.taggedValue('needs', ('spool', 'target'))

    name = fields.Line(title='The name that getUtility and the command line use', wanted=_NAME)
    product_config = _product_config(example='articles')
    spool = fields.Line(title='The name of a spool', wanted=_NAME, required=False)
    target = fields.Line(title='The name of a target', wanted=_NAME, required=False)
    order = fields.OneOf(
        title='Which file goes first: by arrival in the spool, or by name',
        values=('arrival', 'name'),
        required=False,
        default=Options.order,
    )
    strict = fields.YesNo(
        title='Stop at the first file that is not delivered',
        required=False,
        default=Options.strict,
    )
    max_files = fields.Number(
        title='The most files in one run',
        wanted='a whole number, at least 1',
        min=1,
        required=False,
    )
    max_bytes = fields.Number(
        title='The most bytes in one run; a single file may be larger',
        wanted='a whole number, at least 1',
        min=1,
        required=False,
    )
    empty = fields.OneOf(
        title='What becomes of files without content',
        values=('send', 'park', 'skip'),
        required=False,
        default=Options.empty,
    )
    park_after = fields.Number(
        title='Park a file that the server refused in so many runs, 0 for never',
        wanted='a whole number, at least 0',
        min=0,
        required=False,
        default=Options.park_after,
    )
    deadline = fields.Deadline(
        title='Time for one run, in seconds, 0 for no end',
        required=False,
        default=Options.deadline,
    )


class IImporterDirective(zope.interface.Interface):
    """An importer: registers an `IImporter` utility.

    `spool` and `target` must be there, here or in the product configuration.
    """

    zope.interface.taggedValue('needs', ('spool', 'target'))

    name = fields.Line(title='The name that getUtility and the command line use', wanted=_NAME)
    product_config = _product_config(example='letters')
    spool = fields.Line(title='The name of a spool', wanted=_NAME, required=False)
    target = fields.Line(title='The name of a target', wanted=_NAME, required=False)
    two_way = fields.YesNo(
        title='Take files also from where an exporter delivers to, out of another spool',
        description='yes: whatever lies there is fetched, and deleted there.',
        required=False,
        default=False,
    )
    ignore = fields.Line(
        title='Patterns of names that are never taken, separated by spaces',
        description='Empty: there are none.',
        wanted='some patterns on one line',
        blank=True,
        required=False,
        default=ImportOptions.ignore,
    )
    min_age = fields.Deadline(
        title='Take only what was changed so many seconds ago',
        required=False,
        default=ImportOptions.min_age,
    )
    occupied = fields.OneOf(
        title='While a file of that name is in new: wait on the server, or take a unique name',
        values=('wait', 'unique'),
        required=False,
        default=ImportOptions.occupied,
    )
    max_files = fields.Number(
        title='The most files in one run',
        wanted='a whole number, at least 1',
        min=1,
        required=False,
    )
    max_bytes = fields.Number(
        title='The most bytes in one run; a single file may be larger',
        wanted='a whole number, at least 1',
        min=1,
        required=False,
    )
    empty = fields.OneOf(
        title='What becomes of files without content',
        values=('take', 'skip'),
        required=False,
        default=ImportOptions.empty,
    )
    deadline = fields.Deadline(
        title='Time for one run, in seconds, 0 for no end',
        required=False,
        default=ImportOptions.deadline,
    )
