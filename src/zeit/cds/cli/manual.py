"""The manual page zeit-cds(1), made of what `--help` says: `python -m zeit.cds.cli.manual`."""

import inspect
import itertools
import re

import click

from zeit.cds import errors
from zeit.cds.cli import configuration
from zeit.cds.cli.commands.group import cli
from zeit.cds.cli.options import PASSWORD_VARIABLE


#: What click takes for the mark of a paragraph that is not to be wrapped.
_AS_IT_IS = '\b\n'

#: Where the help has the options of a server, which are told once.
_SERVER = ('Files on the server', 'TLS', 'SFTP', 'Network')

_ENVIRONMENT = {
    configuration.VARIABLE: 'The ZCML file to be read; empty: none.',
    PASSWORD_VARIABLE: 'The password, where no file has it.',
    'NO_COLOR': 'If it is set, nothing is coloured.',
}

_FILES = {
    configuration.USUAL: 'The ZCML file that is read otherwise.',
    '~/.netrc': 'The password, where neither a file nor the environment has it.',
}

#: What README.txt has a table of; one is of `status --max-age` only.
_STATUS = {
    errors.DONE: 'Done, or nothing to do.',
    errors.FILES_FAILED: 'A file was not delivered or imported; others may have been.',
    errors.TOO_OLD: 'status --max-age only: something is not done for longer than that.',
    errors.USAGE: 'Wrong usage of the command.',
    errors.UNAVAILABLE: 'The server is unreachable, full or untrusted, or time was up.',
    errors.SOFTWARE: 'A bug in zeit-cds.',
    errors.LOCK_LEFT_BEHIND: 'A lock could not be removed from the server.',
    errors.COME_BACK_LATER: 'Locked by somebody else, or another run of the spool is active.',
    errors.LOGIN_REFUSED: 'The login was refused.',
    errors.CONFIGURATION: 'Configuration, spool or directory on the server cannot be used.',
}


def page():
    """Return the manual page, as man(7) wants it."""
    context = click.Context(cli, info_name='zeit-cds')
    lines = [
        '.\\" Made by "python -m zeit.cds.cli.manual".',
        '.TH ZEIT\\-CDS 1 "" "zeit.cds" "zeit.cds"',
        '.SH NAME',
        'zeit\\-cds \\- carry files from a spool to a CDS server by FTP or SFTP',
        '.SH SYNOPSIS',
        '.B zeit\\-cds',
        _text('[OPTIONS] COMMAND [OPTIONS] [ARGUMENT]...'),
        '.SH DESCRIPTION',
        *_description(cli),
        *_options(cli, context),
        '.SH COMMANDS',
    ]
    for names, command in _commands(cli, context):
        own = click.Context(command, info_name=names[-1], parent=context)
        usage = ' '.join(command.collect_usage_pieces(own))
        lines += [f'.SS zeit\\-cds {_text(" ".join((*names, usage)))}', *_description(command)]
        lines += _options(command, own, but={each.name for each in cli.params})
        if any(getattr(each, 'section', '') in _SERVER for each in command.params):
            lines += ['.PP', 'And the options of a server, see below.']
    export = cli.get_command(context, 'export')
    lines += ['.SH OPTIONS OF A SERVER', *_options(export, context, server=True)]
    for title, rows in (('ENVIRONMENT', _ENVIRONMENT), ('FILES', _FILES), ('EXIT STATUS', _STATUS)):
        lines.append(f'.SH {title}')
        for name, text in rows.items():
            lines += _row(str(name), text)
    lines += ['.PP', 'Ended by a signal, it is 128 and the number of that.', '.SH SEE ALSO']
    lines.append('README.txt and the folder docs of zeit.cds')
    return '\n'.join(lines) + '\n'


def _commands(group, context, *before):
    """Yield (names, command) of all that can be called."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, context, *before, name)
        else:
            yield (*before, name), command


def _description(command):
    for paragraph in inspect.cleandoc(command.help).replace('\x08', '\b').split('\n\n'):
        if paragraph.startswith(f'{_AS_IT_IS}Exit codes:') and command is cli:
            continue  # they have a section of their own
        lines = paragraph.removeprefix(_AS_IT_IS).splitlines()
        for indented, several in itertools.groupby(lines, key=lambda line: line.startswith(' ')):
            if indented:
                yield from ('.PP', '.nf', *map(_text, several), '.fi')
            else:
                yield from ('.PP', _text(' '.join(' '.join(several).split())))


def _options(command, context, *, but=(), server=False):
    for each in command.get_params(context):
        of_server = getattr(each, 'section', '') in _SERVER
        if isinstance(each, click.Option) and each.name not in but and of_server == server:
            record = each.get_help_record(context)
            if record and '--help' not in each.opts:
                yield from _row(record[0], record[1])


def _row(name, text):
    return ['.TP', f'.B {_text(name)}', _text(' '.join(text.split()))]


def _text(text):
    """Return a text as roff takes it."""
    text = text.replace('\\', '\\e').replace('-', '\\-').replace('"', '\\(dq')
    return re.sub(r"^([.'])", r'\\&\1', text)


if __name__ == '__main__':
    print(page(), end='')
