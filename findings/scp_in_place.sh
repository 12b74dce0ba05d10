#!/usr/bin/env bash
# OpenSSH's scp writes into the old file: while it runs, and when it is killed, the size is that of the old one.
#
# Guess, written down before: an upload truncates the file that it replaces, as STOR and `sftp put` do, so that
#   it is short until it is complete.
# Versions: openssh-client 1:9.2p1-2+deb12u10 and openssh-sftp-server of the same version (Debian 12).
# Seen, 2,000,000 bytes `n` onto 3,000,000 bytes `o`, the program killed once 1,000,000 or more `n` are there:
#   scp: 3000000 bytes, `n` first, then `o`; sftp put: as many bytes as `n`
#   At its end scp cuts off the rest (FSETSTAT): all of it sent, both leave 2000000 `n`.
#   It opens without SSH_FXF_TRUNC, so that a file may be copied onto itself.
# Who meets it: whoever takes files away when their size has not changed for a while: by scp it never changes
#   while a new version that is not longer comes in, and he gets a mixture of two versions; one that stays for
#   ever if the connection breaks. The sender should use another name, and rename.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

version=1:9.2p1-2+deb12u10
apt-get download -qq -o APT::Sandbox::User=root openssh-client=$version openssh-sftp-server=$version
for package in ./*.deb; do dpkg -x "$package" root; done

# In place of ssh: the server at the other end of a pipe, without a network.
printf '#!/bin/sh\nexec %s/root/usr/lib/openssh/sftp-server\n' "$work" >connect
chmod +x connect
head -c 3000000 /dev/zero | tr '\0' o >old
head -c 2000000 /dev/zero | tr '\0' n >new

upload() { # CLIENT OPTIONS...
    local client=$1
    shift
    case $client in
        scp) exec root/usr/bin/scp -q -S "$work/connect" "$@" new "server:$work/target" ;;
        sftp) exec root/usr/bin/sftp -q -S "$work/connect" "$@" -b batch server ;;
    esac
}
echo "put new $work/target" >batch
count() { tr -cd "$1" <target | wc -c; }
seen=
for client in scp sftp; do
    cp old target
    upload $client -l 8000 >words 2>&1 </dev/null & # 8000 kbit/s: two seconds
    pid=$!
    for _ in {1..2000}; do
        [ "$(count n)" -lt 1000000 ] || break
        sleep 0.005
    done
    kill "$pid"
    wait "$pid" || true
    pid=
    [ "$(count n)" -ge 1000000 ] && [ "$(count n)" -lt 2000000 ]
    line="$client killed: $(tr -s on <target)"
    [ $(($(stat -c %s target) - $(count n))) = 0 ] || line+=", $(stat -c %s target) bytes"
    cp old target
    (upload $client) >words 2>&1 </dev/null
    line+="; all: $(tr -s on <target), $(stat -c %s target) bytes"
    echo "$line"
    seen+="$line;"
done
wanted='scp killed: no, 3000000 bytes; all: n, 2000000 bytes;'
wanted+='sftp killed: n; all: n, 2000000 bytes;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
