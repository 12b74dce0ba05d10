"""What the fault server does when nothing is wrong: one function per verb (RFC 959, 2428, 3659).

Each takes the session and the argument, and returns the reply. An OSError becomes a 550.
"""

import os
import time

from zeit.cds.testing import actions, ftpdata, ftpstore, ftptls, tlsactions


FACTS = 'type*;size*;modify*;'
FEATURES = ('EPSV', 'MDTM', f'MLST {FACTS}', 'PASV', 'REST STREAM', 'SIZE', 'UTF8')


def user(session, argument):
    session.logged_in = False
    session.user = argument
    return f'331 Password required for {argument}.'


def password(session, argument):
    if not session.user:
        return '503 Login with USER first.'
    given, session.user = (session.user, argument), ''
    session.logged_in = given == session.server.login
    return '230 Logged in.' if session.logged_in else '530 Login incorrect.'


def quit_(session, argument):
    session.finished = True
    return '221 Goodbye.'


def features(session, argument):
    found = FEATURES if session.server.context is None else (*ftptls.FEATURES, *FEATURES)
    return '\n'.join(['211-Features:', *(f' {each}' for each in found), '211 End'])


def options(session, argument):
    name = argument.upper()
    if name in ('UTF8', 'UTF8 ON') or name.startswith('MLST'):
        return f'200 {argument} accepted.'
    return '501 Option not understood.'


def type_(session, argument):
    kind = argument.upper()
    if kind not in ('A', 'A N', 'I', 'L 8'):
        return '504 Type not implemented.'
    session.binary = kind in ('I', 'L 8')
    return f'200 Type set to {kind}.'


def structure(session, argument):
    return '200 Structure F.' if argument.upper() == 'F' else '504 Structure not implemented.'


def mode(session, argument):
    return '200 Mode S.' if argument.upper() == 'S' else '504 Mode not implemented.'


def change_directory(session, argument):
    path = session.resolve(argument)
    session.tree.names(path)
    session.directory = path
    return '250 Directory changed.'


def parent_directory(session, argument):
    return change_directory(session, '..')


def print_directory(session, argument):
    return '257 "{}" is the current directory.'.format(session.directory.replace('"', '""'))


def extended_passive(session, argument):
    own = '2' if ':' in session.host else '1'
    if argument.upper() == 'ALL':
        return '200 EPSV ALL accepted.'
    if argument not in ('', own):
        return f'522 Network protocol not supported, use ({own})'
    return f'229 Entering Extended Passive Mode (|||{session.open_port()}|)'


def passive(session, argument):
    if ':' in session.host:
        return '425 PASV is for IPv4, use EPSV.'
    high, low = divmod(session.open_port(), 256)
    return f'227 Entering Passive Mode ({session.host.replace(".", ",")},{high},{low})'


def restart(session, argument):
    if not (argument.isascii() and argument.isdigit()):
        return '501 REST needs a number of bytes.'
    session.offset = int(argument)
    return f'350 Restarting at {argument}.'


def store(session, argument):
    offset, session.offset = session.offset, 0
    return _receive(session, session.tree.open(session.resolve(argument), keep=offset), offset)


def append(session, argument):
    node = session.tree.open(session.resolve(argument), keep=True)
    return _receive(session, node, len(node.content))


def _receive(session, node, offset):
    position = offset
    carry = b''

    def write(data):
        nonlocal position, carry
        if not session.binary:  # a CR may be the end of one piece, its LF the start of the next
            data = carry + data
            carry = b'\r' if data.endswith(b'\r') else b''
            data = data.removesuffix(b'\r').replace(b'\r\n', b'\n')
        session.tree.write(node, data, at=position)
        position += len(data)

    reply = _transfer(session, lambda transfer: transfer.receive(write), upload=True)
    session.tree.write(node, carry, at=position)
    return reply


def retrieve(session, argument):
    offset, session.offset = session.offset, 0
    data = session.tree.read(session.resolve(argument))[offset:]
    return _send(session, data if session.binary else data.replace(b'\n', b'\r\n'))


def _send(session, data):
    return _transfer(session, lambda transfer: transfer.send(data))


def _transfer(session, work, *, upload=False):
    connection = session.accept_data()
    overlook = connection and session.acting(actions.Overlook)
    if overlook and session.ends_within(connection, overlook.seconds):
        connection = None
    forget = connection and session.acting(actions.Forget)
    if forget and session.wait(connection, timeout=forget.seconds):
        ftpdata.close(connection, reset=True)
        session.send(actions.wire('150 Opening data connection.'))
        return ''
    if connection is None:
        return "425 Can't open data connection."
    early = session.acting(actions.ReplyEarly)
    linger = upload and not session.acting(actions.ReplyLate)
    options = {'silent': session.silent_data, 'linger': linger}
    with ftpdata.Transfer(session, connection, **options) as transfer:
        first = session.acting(tlsactions.ShakeFirst)
        if first and not transfer.secure():
            return transfer.failure
        if not session.acting(actions.NoMark):
            session.send(actions.wire('150 Opening data connection.'))
        if abandon := session.acting(actions.Abandon):
            transfer.abandon()
            return abandon.text
        if early:
            session.send(actions.wire(early.text))
        if first or transfer.secure():
            work(transfer)
        session.note_early_commands()
    return '' if early else transfer.failure or '226 Transfer complete.'


def facts(node, *, kind=None):
    kind = kind or ('dir' if node.is_directory else 'file')
    size = '' if node.is_directory else f'size={len(node.content)};'
    return f'type={kind};{size}modify={timestamp(node)};'


def timestamp(node):
    return time.strftime('%Y%m%d%H%M%S', time.gmtime(node.modified))


def machine_list(session, argument):
    path = session.resolve(argument)
    names, shown = session.tree.names(path), session.server.listed_as
    node = session.tree.stat
    lines = [
        facts(node(path), kind='cdir') + ' .',
        facts(node(os.path.dirname(path)), kind='pdir') + ' ..',
        *(f'{facts(node(ftpstore.resolve(path, name)))} {shown(name)}' for name in names),
    ]
    return _send(session, b''.join(actions.wire(line) for line in lines))


def machine_facts(session, argument):
    path = session.resolve(argument)
    return f'250-Facts:\n {facts(session.tree.stat(path))} {path}\n250 End'


def name_list(session, argument):
    names = session.tree.names(session.resolve(argument))
    lines = [os.path.join(argument, session.server.listed_as(name)) for name in names]
    return _send(session, b''.join(actions.wire(line) for line in lines))


def long_list(session, argument):
    """Answer LIST as `ls -l` does: to the minute for half a year."""
    path, lines = session.resolve(argument), []
    for name in session.tree.names(path):
        node = session.tree.stat(ftpstore.resolve(path, name))
        kind, length = ('d', 4096) if node.is_directory else ('-', len(node.content))
        recent = 0 <= ftpstore.time.time() - node.modified < 180 * 24 * 3600
        moment = time.strftime('%b %e %H:%M' if recent else '%b %e  %Y', time.gmtime(node.modified))
        name = session.server.listed_as(name)
        lines.append(f'{kind}rw-r--r--    1 owner    group {length:>12} {moment} {name}')
    return _send(session, b''.join(map(actions.wire, lines)))


def size(session, argument):
    if not session.binary:  # RFC 3659 section 4: the size depends on the type; servers refuse
        return '550 SIZE not allowed in ASCII mode.'
    return f'213 {len(session.tree.read(session.resolve(argument)))}'


def modified(session, argument):
    path = session.resolve(argument)
    session.tree.read(path)
    return f'213 {timestamp(session.tree.stat(path))}'


def delete(session, argument):
    session.tree.delete(session.resolve(argument))
    return f'250 {argument}: removed.'


def rename_from(session, argument):
    session.rename_source = ''
    path = session.resolve(argument)
    session.tree.stat(path)
    session.rename_source = path
    return '350 Ready for RNTO.'


def rename_to(session, argument):
    if not session.rename_source:
        return '503 RNFR must come immediately before RNTO.'
    session.tree.rename(session.rename_source, session.resolve(argument))
    return '250 Renamed.'


def make_directory(session, argument):
    path = session.resolve(argument)
    session.tree.make_directory(path)
    return '257 "{}" created.'.format(path.replace('"', '""'))


def remove_directory(session, argument):
    session.tree.remove_directory(session.resolve(argument))
    return f'250 {argument}: removed.'


def constant(reply):
    return lambda session, argument: reply


BEFORE_LOGIN = {
    **ftptls.VERBS,
    'FEAT': features,
    'NOOP': constant('200 NOOP ok.'),
    'OPTS': options,
    'PASS': password,
    'QUIT': quit_,
    'SYST': constant('215 UNIX Type: L8'),
    'USER': user,
}
WITH_ARGUMENT = {
    'APPE': append,
    'CWD': change_directory,
    'DELE': delete,
    'MDTM': modified,
    'MKD': make_directory,
    'MODE': mode,
    'REST': restart,
    'RETR': retrieve,
    'RMD': remove_directory,
    'RNFR': rename_from,
    'RNTO': rename_to,
    'SIZE': size,
    'STOR': store,
    'STRU': structure,
    'TYPE': type_,
}
OTHERS = {
    'ABOR': constant('226 No transfer to abort.'),
    'ALLO': constant('202 ALLO is not needed.'),
    'CDUP': parent_directory,
    'EPSV': extended_passive,
    'LIST': long_list,
    'MLSD': machine_list,
    'MLST': machine_facts,
    'NLST': name_list,
    'PASV': passive,
    'PWD': print_directory,
}
TRANSFERS = ('APPE', 'LIST', 'MLSD', 'NLST', 'RETR', 'STOR')


def execute(session, verb, argument):
    """Execute one command; return the reply."""
    if verb in BEFORE_LOGIN:
        return BEFORE_LOGIN[verb](session, argument)
    if not session.logged_in:
        return '530 Please login with USER and PASS.'
    if verb in WITH_ARGUMENT and not argument:
        return f'501 {verb} needs an argument.'
    handler = WITH_ARGUMENT.get(verb) or OTHERS.get(verb)
    if handler is None:
        return f'502 {verb} not implemented.'
    try:
        return handler(session, argument)
    except OSError as error:
        if error.filename is None:  # not of the file tree: a failure of the server itself
            raise
        return f'550 {argument or session.directory}: {error.strerror}'
