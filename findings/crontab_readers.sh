#!/usr/bin/env bash
# One line of a crontab, seven readers, up to five schedules: a day of the month with a weekday, 0, 5-7, */2.
#
# Guess, written down before: the five fields mean what crontab(5) says: of a day of the month and a weekday that
#   are both restricted either is enough; Sunday is 0 and 7; what is not understood is refused.
# Versions: systemd-cron 1.15.19-5 (Debian 12), celery 5.7.0, APScheduler 3.11.3, croniter 7.0.0, cronsim 2.8
#   (which follows Debian's cron); cron 4.4.0 and cron-parser 5.10.6 (npm). Needs root (a mount namespace).
# Seen, the first three days after 1 December 2026; for systemd-cron what it writes as OnCalendar:
#                  0 6 1 * 1          0 6 * * 0          0 6 * * 5-7        0 6 */2 * 1
#   cronsim        7.12 14.12 21.12   6.12 13.12 20.12   4.12 5.12 6.12     7.12 21.12 11.1
#   croniter, npm  the same           the same           the same           3.12 5.12 7.12
#   systemd-cron   Mon *-*-1          Sun                *-*-* (each day)   Mon *-*-1,3,5,...
#   celery         1.2 1.3 1.11       6.12 13.12 20.12   refused            7.12 21.12 11.1
#   APScheduler    1.6.27 1.2.28 ...  7.12 14.12 21.12   refused            15.12 29.12 5.1
#   (APScheduler's from_crontab counts Monday as 0. `*/2` begins with a star: for Debian's cron and cronsim
#   the weekday is the only restriction then, and both must hold; for the others it is one of two.)
# Who meets it: whoever moves a line from cron to something else: what ran weekly and on each first runs twice a
#   year, Sunday's job runs on Monday, that of the weekend each day; all without a word. Restrict one of the two
#   fields only, name weekdays (`sun`), and look at the next dates (`systemctl list-timers`).
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root systemd-cron=1.15.19-5
dpkg -x systemd-cron_*.deb root
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check celery==5.7.0 apscheduler==3.11.3 croniter==7.0.0 \
    cronsim==2.8 2>/dev/null
npm install --silent --no-fund --no-audit cron@4.4.0 cron-parser@5.10.6 >/dev/null

cat >next.py <<'PYTHON'
import datetime
import celery.schedules, cronsim
from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
LINES = ['0 6 1 * 1', '0 6 * * 0', '0 6 * * 5-7', '0 6 */2 * 1']
start = datetime.datetime(2026, 12, 1, 12)
day = datetime.timedelta(days=1)

def by_croniter(line):
    times = croniter(line, start)
    return [times.get_next(datetime.datetime) for _ in range(3)]

def by_cronsim(line):
    times = cronsim.CronSim(line, start)
    return [next(times) for _ in range(3)]

def by_celery(line):
    fields = ('minute', 'hour', 'day_of_month', 'month_of_year', 'day_of_week')
    crontab = celery.schedules.crontab(
        **dict(zip(fields, line.split())), nowfun=lambda: now, app=celery.Celery(set_as_default=False))
    times, now = [], start.replace(tzinfo=datetime.UTC)
    while len(times) < 3:
        now += crontab.remaining_estimate(now)
        now = now.replace(microsecond=0)
        times.append(now)
    return times

def by_apscheduler(line):
    trigger = CronTrigger.from_crontab(line, timezone='UTC')
    times = [start.replace(tzinfo=datetime.UTC)]
    for _ in range(3):
        times.append(trigger.get_next_fire_time(None, times[-1] + datetime.timedelta(seconds=1)))
    return times[1:]

for reader in by_cronsim, by_croniter, by_celery, by_apscheduler:
    for line in LINES:
        try:
            days = ' '.join(f'{time:%Y-%m-%d}' for time in reader(line))
        except ValueError:
            days = 'refused'
        print(f'{reader.__name__[3:]} | {line} | {days}')
PYTHON
cat >next.cjs <<'JS'
const {CronExpressionParser} = require('cron-parser');
const {CronTime} = require('cron');
const {Settings} = require('luxon');
// npm's cron knows no other time than that of the machine.
Settings.now = () => Date.UTC(2026, 11, 1, 12);
const lines = ['0 6 1 * 1', '0 6 * * 0', '0 6 * * 5-7', '0 6 */2 * 1'];
for (const line of lines) {
  const times = CronExpressionParser.parse(line, {currentDate: new Date(Date.UTC(2026, 11, 1, 12)), tz: 'UTC'});
  const days = [1, 2, 3].map(() => times.next().toDate().toISOString().slice(0, 10));
  console.log(`cron-parser | ${line} | ${days.join(' ')}`);
}
for (const line of lines) {
  const days = new CronTime(line, 'UTC').sendAt(3).map((time) => time.toISODate());
  console.log(`npm cron | ${line} | ${days.join(' ')}`);
}
JS
{
    venv/bin/python -W ignore next.py
    TZ=UTC node next.cjs
} >seen

mkdir cron.d units
for line in '0 6 1 * 1' '0 6 * * 0' '0 6 * * 5-7' '0 6 */2 * 1'; do
    rm -rf units
    mkdir units
    echo "$line root true" >cron.d/job
    # shellcheck disable=SC2016  # expanded by the inner shell
    unshare --mount sh -c 'mount --bind cron.d /etc/cron.d && exec "$@"' sh \
        python3 -W ignore root/lib/systemd/system-generators/systemd-crontab-generator units units units
    echo "systemd-cron | $line | $(sed -n 's/^OnCalendar= *//p' units/cron-job-root-0.timer)" >>seen
done
cat seen
odd=$(echo {1..31..2} | tr ' ' ,)
cat >wanted <<END
cronsim | 0 6 1 * 1 | 2026-12-07 2026-12-14 2026-12-21
cronsim | 0 6 * * 0 | 2026-12-06 2026-12-13 2026-12-20
cronsim | 0 6 * * 5-7 | 2026-12-04 2026-12-05 2026-12-06
cronsim | 0 6 */2 * 1 | 2026-12-07 2026-12-21 2027-01-11
croniter | 0 6 1 * 1 | 2026-12-07 2026-12-14 2026-12-21
croniter | 0 6 * * 0 | 2026-12-06 2026-12-13 2026-12-20
croniter | 0 6 * * 5-7 | 2026-12-04 2026-12-05 2026-12-06
croniter | 0 6 */2 * 1 | 2026-12-03 2026-12-05 2026-12-07
celery | 0 6 1 * 1 | 2027-02-01 2027-03-01 2027-11-01
celery | 0 6 * * 0 | 2026-12-06 2026-12-13 2026-12-20
celery | 0 6 * * 5-7 | refused
celery | 0 6 */2 * 1 | 2026-12-07 2026-12-21 2027-01-11
apscheduler | 0 6 1 * 1 | 2027-06-01 2028-02-01 2028-08-01
apscheduler | 0 6 * * 0 | 2026-12-07 2026-12-14 2026-12-21
apscheduler | 0 6 * * 5-7 | refused
apscheduler | 0 6 */2 * 1 | 2026-12-15 2026-12-29 2027-01-05
cron-parser | 0 6 1 * 1 | 2026-12-07 2026-12-14 2026-12-21
cron-parser | 0 6 * * 0 | 2026-12-06 2026-12-13 2026-12-20
cron-parser | 0 6 * * 5-7 | 2026-12-04 2026-12-05 2026-12-06
cron-parser | 0 6 */2 * 1 | 2026-12-03 2026-12-05 2026-12-07
npm cron | 0 6 1 * 1 | 2026-12-07 2026-12-14 2026-12-21
npm cron | 0 6 * * 0 | 2026-12-06 2026-12-13 2026-12-20
npm cron | 0 6 * * 5-7 | 2026-12-04 2026-12-05 2026-12-06
npm cron | 0 6 */2 * 1 | 2026-12-03 2026-12-05 2026-12-07
systemd-cron | 0 6 1 * 1 | Mon *-*-1 6:0:00
systemd-cron | 0 6 * * 0 | Sun *-*-* 6:0:00
systemd-cron | 0 6 * * 5-7 | *-*-* 6:0:00
systemd-cron | 0 6 */2 * 1 | Mon *-*-$odd 6:0:00
END
diff wanted seen || { echo 'This has changed.'; exit 1; }
echo 'As described.'
