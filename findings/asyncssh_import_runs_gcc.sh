#!/usr/bin/env bash
# Importing AsyncSSH runs a compiler and a linker, where there are any, and waits for them.
#
# Guess, written down before: an import runs no programs; an optional library in C is looked for by loading it.
# Versions: asyncssh 2.24.0, Python as installed; a script takes the place of gcc and ld.
# Seen: gcc is called twice and ld twice, to find liboqs (by ctypes.util.find_library), which is not there.
# Who meets it: command-line programs, which pay for it at each start; and whoever runs services that may execute
#   nothing or write no temporary files.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.0 2>/dev/null

mkdir bin
for program in gcc ld; do
    printf '#!/bin/sh\necho %s >>"%s/called"\nexit 1\n' "$program" "$work" >"bin/$program"
    chmod +x "bin/$program"
done
: >called
PATH="$work/bin:$PATH" venv/bin/python -c 'import asyncssh'
seen=$(sort called | uniq -c | tr -s ' \n' ' ')
echo "called:$seen"
[ "$seen" = ' 2 gcc 2 ld ' ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
