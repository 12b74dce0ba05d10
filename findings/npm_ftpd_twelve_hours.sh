#!/usr/bin/env bash
# npm's ftpd tells MDTM by a clock of twelve hours, without saying which half of the day.
#
# Guess, written down before: MDTM tells UTC (RFC 3659 section 2.3), or at worst local time, as some
#   servers do; both can be corrected by an offset that is the same for all files.
# Versions: ftpd 0.2.16 (npm); node as installed.
# Seen, with TZ=UTC, of files of 03:15, 12:15 and 15:15 hours:
#   213 20260131031500   213 20260131121500   213 20260131031500
#   The first and the last are twelve hours apart, and get one time. 'hh' of its dateformat is 1 to 12.
# Who meets it: whoever mirrors by time (lftp mirror, rclone, wget -N): a correction that is made in the
#   other half of the day looks twelve hours older than what it corrects, and is not fetched; files of
#   the afternoon look too old to be still growing. No offset helps. Compare sizes, or fetch all.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

echo '{}' >package.json
npm install --silent --no-audit --no-fund ftpd@0.2.16
echo "node $(node --version)"

export TZ=UTC
mkdir root
touch -d '2026-01-31 03:15:00' root/night
touch -d '2026-01-31 12:15:00' root/noon
touch -d '2026-01-31 15:15:00' root/afternoon

cat >server.js <<'NODE'
const ftpd = require('ftpd')
const server = new ftpd.FtpServer('127.0.0.1', {getInitialCwd: () => '/', getRoot: () => 'root'})
server.on('client:connected', connection => {
  connection.on('command:user', (user, success) => success())
  connection.on('command:pass', (password, success) => success('user'))
})
server.debugging = 0
server.server.on('listening', () => console.log(server.server.address().port))
server.listen(0)
NODE
mkfifo port
node server.js >port 2>/dev/null &
pid=$!
read -r port <port

cat >ask.py <<'PYTHON'
import ftplib
import sys
ftp = ftplib.FTP()
ftp.connect('127.0.0.1', int(sys.argv[1]), timeout=10)
ftp.login('user', 'pw')
print(*(ftp.sendcmd(f'MDTM /{name}').split()[1] for name in ('night', 'noon', 'afternoon')))
PYTHON
found=$(python3 ask.py "$port")
echo "$found"
[ "$found" = '20260131031500 20260131121500 20260131031500' ]
