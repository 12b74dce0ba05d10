#!/usr/bin/env bash
# A ProFTPD that is full says so by 530 behind a good password, or by nothing at all; never by 421.
#
# Guess, written down before: too many connections are 421 in place of 220, as RFC 959 has it, and vsftpd
#   and Pure-FTPd do it; MaxClients holds in every configuration.
# Version: proftpd-core 1.3.8+dfsg-4+deb12u5 (Debian 12), standalone.
# Seen, of a second client, while the first one is logged in:
#   MaxClients 1: 220, USER 331, PASS 530 Sorry, the maximum number of allowed clients (1) are already ...
#   MaxClients 1, ScoreboardFile none: 220, USER 331, PASS 230: the limit is not in force
#   MaxInstances 1: the connection is closed without a byte
# Who meets it: a client that takes 530 for a wrong password and gives up for good (or locks an account,
#   or asks for a new password), and one that takes the end of a connection before the greeting for a
#   server that is down. Both pass in a minute. Look for the words, and try again.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get download -qq -o APT::Sandbox::User=root proftpd-core=1.3.8+dfsg-4+deb12u5
dpkg -x proftpd-core_*.deb root
root/usr/sbin/proftpd --version
uid=$(id -u)
[ "$uid" != 0 ] || uid=65534
mkdir files
chown "$uid" files
echo "user:$(openssl passwd -6 pw):$uid:$uid::$work/files:/bin/sh" >users
chmod 600 users

cat >client.py <<'PYTHON'
import ftplib, sys, time
port = int(sys.argv[1])
first = ftplib.FTP()
for _ in range(200):
    try:
        first.connect('127.0.0.1', port, timeout=20)
        break
    except OSError:
        time.sleep(0.05)
first.login('user', 'pw')
second = ftplib.FTP()
words = []
try:
    words.append(second.connect('127.0.0.1', port, timeout=20)[:3])
    for command in ('USER user', 'PASS pw'):
        words.append(second.sendcmd(command)[:3])
except ftplib.Error as error:
    words.append(str(error)[:26])
except (EOFError, ConnectionResetError):
    words.append('closed')
print(*words)
PYTHON
seen=
# full LIMIT SCOREBOARD
full() {
    port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    printf '%s\n' 'ServerType standalone' 'DefaultAddress 127.0.0.1' 'SocketBindTight on' \
        "Port $port" 'UseIPv6 off' "User $(id -nu "$uid")" "Group $(id -ng "$uid")" \
        "PidFile $work/pid" "ScoreboardFile $2" 'ControlsEngine off' 'DelayEngine off' \
        'WtmpLog off' 'TransferLog none' "SystemLog $work/system.log" \
        'AuthOrder mod_auth_file.c' "AuthUserFile $work/users" 'RequireValidShell off' \
        'UseFtpUsers off' "$1" >proftpd.conf
    root/usr/sbin/proftpd --nodaemon --config "$work/proftpd.conf" >/dev/null 2>&1 &
    pid=$!
    line="$1, ScoreboardFile ${2##*/}: $(timeout 60 python3 client.py "$port")"
    kill "$pid" 2>/dev/null || true
    echo "$line"
    seen+="$line;"
}
full 'MaxClients 1' "$work/scoreboard"
full 'MaxClients 1' none
full 'MaxInstances 1' "$work/scoreboard"
wanted='MaxClients 1, ScoreboardFile scoreboard: 220 331 530 Sorry, the maximum num;'
wanted+='MaxClients 1, ScoreboardFile none: 220 331 230;'
wanted+='MaxInstances 1, ScoreboardFile scoreboard: closed;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
