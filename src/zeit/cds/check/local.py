"""What can be found out without the network: one question each, in `SPOOL` and `TARGET`."""

import grp
import os
import pwd
import shlex
import shutil
import stat
import time

from zeit.cds.check import finding
from zeit.cds.check.finding import FAILED, OK, UNKNOWN, WARNING, Finding
from zeit.cds.errors import CONFIGURATION, Error, SpoolBusy
from zeit.cds.interfaces import IPartner
from zeit.cds.spool.filing import PRIVATE, SECTIONS
from zeit.cds.target.target import is_loopback
from zeit.cds.text import age, file_size, from_timestamp, plural, printable
from zeit.cds.usable import require_usable


#: A file system with less room than this, in bytes and in inodes, is soon full.
ROOM_BYTES = 256 * 1024 * 1024
ROOM_INODES = 1000

#: A certificate that expires within so many days has to be renewed soon.
SOON_DAYS = 21

#: Of so many files that wait the rights are looked at.
MAX_FILES = 1000

#: A clock that was set back by less than so many seconds disturbs nobody.
SLACK_SECONDS = 60


def spool(spool, *, now=time.time, common=True):
    """Return the `Finding`s about a spool; `now` tells seconds since the epoch.

    `common`: also about what it has in common with others, as one of several partners.
    """
    return _ask(SPOOL | COMMON if common else SPOOL, spool, now=now())


def target(target, *, now=time.time):
    """Return the `Finding`s about a target, as far as they take no network."""
    return _ask(TARGET, target, now=now())


def hooks(options):
    """Yield a `Finding` for each of the commands in `options` that nobody would be told by.

    A run that cannot start one ends as it would have ended: only its log has that.
    """
    for name in ('on_failure', 'on_recovery'):
        command = getattr(options, name, None)
        if command and shutil.which(shlex.split(command)[0]) is None:
            about = f'the command {name} cannot be run: nobody would be told'
            advice = 'Check its path, and that this user may execute it.'
            yield Finding('hooks', WARNING, about, setting=advice)


def _ask(questions, subject, *, now):
    found = []
    for name, question in questions.items():
        try:
            found += question(name, subject, now)
        except Error as error:
            # The others would say the same.
            return [*found, finding.failed(name, error)]
        except OSError as error:
            where = printable(os.fsdecode(error.filename)) if error.filename else 'The system'
            said = f'{where}: {error.strerror}'
            return [*found, Finding(name, FAILED, said, code=CONFIGURATION)]
    return found


# The spool


def _directories(name, spool, now):
    require_usable(spool)
    yield Finding(name, OK, f'{", ".join(SECTIONS)} and {PRIVATE} can be used, on one file system')


def _rights(name, spool, now):
    new = spool.arrivals
    place = new if os.path.isdir(new) else os.path.dirname(new)
    found, user = os.stat(place), os.geteuid()
    owner, group = _user(found.st_uid), _group(found.st_gid)
    shared = bool(found.st_mode & stat.S_IWGRP)
    who = [owner] * bool(found.st_mode & stat.S_IWUSR) + [f'group {group}'] * shared
    who += ['everybody'] * bool(found.st_mode & stat.S_IWOTH)
    yield Finding(name, OK, f'runs as {_user(user)}; files can be put by {", ".join(who)}')
    if user == 0 and found.st_uid:
        yield Finding(
            name,
            WARNING,
            f'root has all rights; those of {owner}, who owns the spool, were not found out',
            setting='Call this as the user of the runs.',
        )
    if shared and not found.st_mode & stat.S_ISGID:
        yield Finding(
            name,
            WARNING,
            'what the CMS puts gets the group of the CMS, not of the spool',
            setting=f'chmod g+s {printable(place)}',
        )
    yield from _unreadable(name, new)


def _unreadable(name, new):
    """Yield what is wrong with the rights on what waits, or nothing."""
    if not os.path.isdir(new):
        return
    closed = []
    with os.scandir(new) as items:
        for item, _ in zip(items, range(MAX_FILES), strict=False):
            if item.is_file(follow_symlinks=False) and not os.access(item.path, os.R_OK):
                closed.append(item)
    if closed:
        first = closed[0].stat(follow_symlinks=False)
        mode, owner = stat.filemode(first.st_mode), _user(first.st_uid)
        number = plural(len(closed), 'file')
        yield Finding(
            name,
            FAILED,
            f'{number} in new cannot be read: {printable(closed[0].name)}, {mode}, of {owner}',
            setting='Let the CMS have the umask 027 or less, and the group of the spool.',
            code=CONFIGURATION,
        )


def _filing(name, spool, now):
    try:
        with spool.run():
            spool.require_filing()
    except SpoolBusy as error:
        # That one has tried it itself.
        yield Finding(name, UNKNOWN, printable(error.message))
    else:
        yield Finding(name, OK, 'a file of our own went from new to cur')


def _room(name, spool, now):
    found = os.statvfs(os.path.dirname(spool.arrivals))
    free = found.f_bavail * found.f_frsize
    # Some file systems do not count them.
    inodes = found.f_favail if found.f_files else None
    about = f'{file_size(free)} free'
    about += '' if inodes is None else f', {plural(inodes, "inode")}'
    if free < ROOM_BYTES or (inodes is not None and inodes < ROOM_INODES):
        advice = 'Make room: a full spool takes no publications.'
        yield Finding(name, WARNING, about, setting=advice)
    else:
        yield Finding(name, OK, about)


def _clock(name, spool, now):
    last = spool.status().numbers.runs.get('last', {}).get('ended', 0)
    shown = f'{from_timestamp(now):%Y-%m-%d %H:%M:%S} UTC'
    if last > now + SLACK_SECONDS:
        yield Finding(
            name,
            WARNING,
            f'it is {shown}, but the last run ended {age(last - now)} later',
            setting='The clock was set back: see whether this machine keeps it by NTP.',
        )
    else:
        yield Finding(name, OK, shown)


def _partners(name, spool, now):
    for each in spool.without_exporter() if IPartner.providedBy(spool) else ():
        advice = f'Give it an exporter, or: zeit-cds partners --remove {printable(each)}'
        about = f'{printable(each)} gets files of this spool, and has no exporter'
        yield Finding(name, WARNING, about, setting=advice)


SPOOL = {
    'directories': _directories,
    'rights': _rights,
    'filing': _filing,
    'disk space': _room,
    'clock': _clock,
}

#: What the partners of a spool have in common.
COMMON = {'partners': _partners}


# The target


def _usable(name, target, now):
    """All that a run would look at; what is told of the parts is told then."""
    require_usable(target)
    yield Finding(name, OK, 'complete, and the password can be read')


def _encryption(name, target, now):
    """Say what others can read on the way, of a target whose settings are known."""
    settings = getattr(target, 'settings', None)
    if settings is None:
        return
    if not hasattr(settings, 'tls'):
        yield _by_ssh(name, settings)
        return
    tls = settings.tls
    if not tls and is_loopback(settings.host):
        yield Finding(name, OK, 'none, and none is needed on this machine')
    elif not tls:
        yield Finding(
            name,
            WARNING,
            'none: password and files can be read on the way',
            setting='tls="explicit" (--tls explicit), if the server has it',
        )
    elif not tls.verify:
        about = f'{tls.mode} TLS, with whoever answers'
        yield Finding(name, WARNING, about, setting='tls_verify="yes", and ca_file')
    else:
        yield Finding(name, OK, f'{tls.mode} TLS, and the server has to show a certificate')


def _by_ssh(name, settings):
    if settings.accept_new_host_key:
        about = 'SSH, with whoever answers the first time'
        return Finding(name, WARNING, about, setting='accept_new_host_key="no"')
    return Finding(name, OK, 'SSH, and the server has to show a key that is known')


def _certificates(name, target, now):
    tls = getattr(getattr(target, 'settings', None), 'tls', None)
    for path in filter(None, (tls and tls.ca_file, tls and tls.certificate)):
        yield from certificates_of(name, path, now)


def certificates_of(name, path, now):
    """Yield a `Finding` about the certificates in a file (PEM): the one that expires first."""
    from zeit.cds.check import certificates

    try:
        found = certificates.in_file(path)
    except ValueError as error:
        found, reason = [], str(error)
    else:
        reason = 'no certificate is in it'
    shown = printable(os.fspath(path))
    if not found:
        yield Finding(name, UNKNOWN, f'{shown}: {reason}')
        return
    first = min(found, key=lambda each: each.expires)
    others = f' (the first of {len(found)} to expire)' if len(found) > 1 else ''
    # One that has expired among several is of no use, and does no harm.
    yield about_certificate(name, first, now, where=f'{shown}: ', others=others)


def about_certificate(name, certificate, now, *, where='', others=''):
    """Return the `Finding` about a `Certificate`."""
    days, names = certificate.days(now), ', '.join(certificate.names) or 'no name'
    about = f'{where}{names}, '
    if days < 0:
        about += f'expired {plural(int(-days), "day")} ago{others}'
        result, code = (WARNING, 0) if others else (FAILED, CONFIGURATION)
        return Finding(name, result, about, setting='Have it renewed.', code=code)
    about += f'good for {plural(int(days), "day")}{others}'
    if days < SOON_DAYS:
        return Finding(name, WARNING, about, setting='Have it renewed.')
    return Finding(name, OK, about)


TARGET = {'configuration': _usable, 'encryption': _encryption, 'certificates': _certificates}


def _user(number):
    try:
        return printable(pwd.getpwuid(number).pw_name)
    except KeyError:
        return str(number)


def _group(number):
    """Return the name of a group, with its members, as far as it lists any."""
    try:
        found = grp.getgrgid(number)
    except KeyError:
        return str(number)
    members = f' ({", ".join(map(printable, found.gr_mem))})' if found.gr_mem else ''
    return f'{printable(found.gr_name)}{members}'
