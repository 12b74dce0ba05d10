#!/usr/bin/env bash
# ZODB: a commit fsyncs Data.fs, and not the blob that belongs to it: a record may outlive its file's content.
#
# Guess, written down before: a commit that has returned is durable with all that belongs to it: the bytes of a blob,
#   and the name under which they were put, are on the disk before the record in Data.fs that points to them.
# Version: ZODB 6.4 (FileStorage with blob_dir).
# Seen, which files the process fsyncs, by os.fsync and os.fdatasync, when the transaction commits:
#   a new object: Data.fs
#   a blob that was written: Data.fs; nothing of the blob's file, nor of the five and more new directories above it
#   a file that was taken in by consumeFile: the same
#   (ZODB has no call of fdatasync or sync at all.)
# Who meets it: a site with files in blobs (Plone, zope.file) whose machine loses power within the half minute that
#   the kernel takes to write by itself: the record is there, and its blob may be empty, short, or missing
#   (POSKeyError). Who has delivered it right after the commit has sent what the database then does not have.
#   fsync the file before consumeFile, or mount the directory of blobs with `sync`.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check ZODB==6.4 2>/dev/null

cat >look.py <<'PYTHON'
import os, sys
synced = []

def recording(function):
    def sync(file):
        number = file if isinstance(file, int) else file.fileno()
        synced.append(os.path.basename(os.readlink(f'/proc/self/fd/{number}')))
        return function(file)
    return sync
# Before ZODB takes them from here.
os.fsync, os.fdatasync = recording(os.fsync), recording(os.fdatasync)
os.sync = recording(os.sync)
import transaction
import ZODB, ZODB.blob, ZODB.FileStorage

database = ZODB.DB(ZODB.FileStorage.FileStorage('Data.fs', blob_dir='blobs'))
root = database.open().root()
transaction.commit()
seen = []

def commit(what):
    synced.clear()
    transaction.commit()
    seen.append((what, *synced))
    print(*seen[-1], sep=': ')

root['object'] = 1
commit('object')
root['blob'] = ZODB.blob.Blob()
with root['blob'].open('w') as file:
    file.write(b'x' * 100_000)
commit('blob')
with open('file', 'wb') as file:
    file.write(b'y' * 100_000)
root['consumed'] = ZODB.blob.Blob()
root['consumed'].consumeFile('file')
commit('consumed')
with root['consumed'].open() as file:
    assert len(file.read()) == 100_000
sys.exit(seen != [(what, 'Data.fs') for what in ('object', 'blob', 'consumed')])
PYTHON
venv/bin/python -W ignore look.py || { echo 'This has changed.'; exit 1; }
if grep -rlE 'fdatasync|os\.sync\(' venv/lib/python3*/site-packages/ZODB --include '*.py'; then
    echo 'This has changed.'
    exit 1
fi
echo 'As described.'
