#!/usr/bin/env bash
# zope.sendmail gives mail up for good when a server says "not now" (450) to a recipient, as greylisting does.
#
# Guess, written down before: 4yz of SMTP is "try again" (RFC 5321 section 4.2.1), whichever command it answers:
#   the message stays in the queue, and the next run sends it.
# Versions: zope.sendmail 7.3, aiosmtpd 1.4.6 (server); Python as installed.
# Seen, a message to one or two people in the maildir; the queue is worked through twice, and the server refuses
# the first time only:
#   250 to all: sent
#   451 to MAIL: it stays in the queue; the second run leaves it alone, as it has a lock of less than three hours
#   450 to RCPT: the first run files it as `.rejected-...`; no run looks at it any more; the log has one line
#     "Email recipients refused"
#   450 to one of two RCPT: sent to the other one, and removed; not a word about the one who was refused
# Who meets it: sites whose mail (a password, an alarm, a receipt) goes to a server with greylisting, or to one that is
#   short of space for one mailbox: it never arrives, and nothing waits in the queue. Put a mail server of the
#   machine in between, which has a queue of its own; look for `.rejected-*`.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check zope.sendmail==7.3 aiosmtpd==1.4.6 2>/dev/null
venv/bin/python --version

cat >look.py <<'PYTHON'
import logging, os, re, shutil, socket, sys
import transaction
from aiosmtpd.controller import Controller
from zope.sendmail.delivery import QueuedMailDelivery
from zope.sendmail.mailer import SMTPMailer
from zope.sendmail.queue import QueueProcessorThread

class Handler:
    refused = {}
    delivered = []
    async def handle_MAIL(self, server, session, envelope, address, options):
        if 'MAIL' in self.refused:
            return '451 Not now.'
        envelope.mail_from = address
        return '250 Ok'
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return '450 Greylisted, try again.'
        envelope.rcpt_tos.append(address)
        return '250 Ok'
    async def handle_DATA(self, server, session, envelope):
        self.delivered.extend(envelope.rcpt_tos)
        return '250 Ok'

class Lines(logging.Handler):
    def emit(self, record):
        words.append(record.getMessage())

words = []
logging.getLogger('QueueProcessorThread').addHandler(Lines())
logging.getLogger('QueueProcessorThread').propagate = False
handler = Handler()
with socket.create_server(('127.0.0.1', 0)) as free:
    port = free.getsockname()[1]
controller = Controller(handler, hostname='127.0.0.1', port=port)
controller.start()
seen = []
for what, recipients, refused in (
    ('all well', ['a@example.com'], ()),
    ('451 to MAIL', ['a@example.com'], ('MAIL',)),
    ('450 to RCPT', ['a@example.com'], ('a@example.com',)),
    ('450 to one of two', ['a@example.com', 'b@example.com'], ('b@example.com',)),
):
    shutil.rmtree('mail', ignore_errors=True)
    words.clear()
    handler.delivered.clear()
    message = 'From: me@example.com\r\nTo: a@example.com\r\nSubject: Hello\r\n\r\nHello.\r\n'
    QueuedMailDelivery('mail').send('me@example.com', recipients, message)
    transaction.commit()
    for handler.refused in refused, ():
        processor = QueueProcessorThread()
        processor.setMailer(SMTPMailer('127.0.0.1', port, no_tls=True))
        processor.setQueuePath('mail')
        processor.run(forever=False)
    left = sorted(re.sub(r'[\d.]{5,}.*', '', name) or 'message'
                  for folder in ('cur', 'new') for name in os.listdir(f'mail/{folder}'))
    errors = sum('refused' in each or 'rror' in each for each in words)
    seen.append(f'{what}: to {len(handler.delivered)}, left: {" ".join(left) or "nothing"}, errors logged: {errors}')
    print(seen[-1])
controller.stop()
sys.exit(seen != [
    'all well: to 1, left: nothing, errors logged: 0',
    '451 to MAIL: to 0, left: .sending- message, errors logged: 1',
    '450 to RCPT: to 0, left: .rejected-, errors logged: 1',
    '450 to one of two: to 1, left: nothing, errors logged: 0',
])
PYTHON
venv/bin/python -W ignore look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
