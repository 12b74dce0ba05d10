#!/usr/bin/env bash
# One .netrc, four readers, up to four passwords: `#`, quotes, a backslash, a second entry, `default`.
#
# Guess, written down before: what stands between two blanks behind `password` is the password, as the
#   manual of ftp(1) has it; of two entries for a host all take the first.
# Versions: curl and wget as installed (7.88.1 and 1.21.3 of Debian 12), lftp 4.9.2-2+b1, netrc of the
#   Python that runs this (3.11).
# Seen, what is sent to the server (netrc: what the module returns), for `user` if not said:
#                               curl          wget         lftp         Python's netrc
#   password pa#ss              pa#ss         pa#ss        pa#ss        pa#ss
#   password #pass              nothing       -wget@       #pass        #pass
#   password "pa ss"            pa ss         pa ss        "pa          pa ss
#   password pa\\ss (two)       pa\\ss        pa\ss        pa\\ss       pa\ss
#   one and two for a host      user/one      user/one     user/one     other/two
#   `default` above the host    any/default   user/host    user/host    user/host
#   What wget sends there is the password of an anonymous login, behind the name of the user.
# Who meets it: a partner's generated password with `#` first or a backslash works by hand and not in
#   the script, or works with one client and, after a change of tools, not with the next; the server
#   sees a wrong password at each run, and may lock the account. Let passwords begin with a letter, and
#   use letters and digits.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root lftp=4.9.2-2+b1
dpkg -x lftp_*.deb root
export HOME=$work LC_ALL=C
curl --version | sed -n 1p
wget --version | sed -n 1p
python3 --version

cat >server.py <<'PYTHON'
import socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
control = listener.accept()[0]
control.sendall(b'220 ready\r\n')
user = ''
for line in control.makefile(newline='\r\n'):
    verb, _, value = line.rstrip('\r\n').partition(' ')
    if verb.upper() == 'USER':
        user = value
    elif verb.upper() == 'PASS':
        print(f'{user}/{value}', flush=True)
        control.sendall(b'530 no\r\n')
        break
    control.sendall({'USER': b'331 password\r\n'}.get(verb.upper(), b'502 no\r\n'))
PYTHON
cat >netrc_client.py <<'PYTHON'
import netrc
user, _, password = netrc.netrc().authenticators('127.0.0.1')
print(f'{user}/{password}')
PYTHON

# ask CLIENT: what it sends, or returns.
ask() {
    [ "$1" != netrc ] || { python3 netrc_client.py; return; }
    exec 3< <(exec python3 server.py)
    pid=$!
    read -r -t 20 port <&3
    case $1 in
        curl) timeout 20 curl -sn "ftp://127.0.0.1:$port/" ;;
        wget) timeout 20 wget -q -t 1 -O - "ftp://127.0.0.1:$port/" ;;
        lftp) timeout 20 root/usr/bin/lftp -c "set ftp:ssl-allow no; set net:max-retries 1;
                  open -p $port 127.0.0.1; ls" ;;
    esac >words 2>&1 || true
    read -r -t 20 line <&3 || line='nothing asked'
    kill "$pid" 2>/dev/null || true
    echo "$line"
}
changed=
# try TEXT CURL WGET LFTP NETRC
try() {
    printf '%s\n' "$1" >.netrc
    chmod 600 .netrc
    local client line
    echo "$1"
    shift
    for client in curl wget lftp netrc; do
        line=$(ask $client)
        echo "    $client: $line"
        [ "$line" = "$1" ] || changed=yes
        shift
    done
}
entry='machine 127.0.0.1 login'
try "$entry user password pa#ss" 'user/pa#ss' 'user/pa#ss' 'user/pa#ss' 'user/pa#ss'
try "$entry user password #pass" 'user/' 'user/-wget@' 'user/#pass' 'user/#pass'
try "$entry user password \"pa ss\"" 'user/pa ss' 'user/pa ss' 'user/"pa' 'user/pa ss'
try "$entry user password pa\\\\ss" 'user/pa\\ss' 'user/pa\ss' 'user/pa\\ss' 'user/pa\ss'
try "$entry user password one
$entry other password two" user/one user/one user/one other/two
try "default login any password default
$entry user password host" any/default user/host user/host user/host
[ -z "$changed" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
