"""The command `bin/bench`."""

import argparse
import pathlib
import random
import signal
import sys
import time

from bench import figures, measure, sftp_clients, table, trace
from bench.clients import CLIENTS as FTP_CLIENTS
from bench.figures import Result
from bench.rows import OPENSSH, QUICK, ROWS, SERVERS, WAITING
from bench.stage import stage
from zeit.cds.testing.servers import ServerError, ServerUnavailable


ROOT = pathlib.Path(__file__).resolve().parents[1]

#: Files at both ends of a trace that do not count, where there are more of them.
ENDS = 10

CLIENTS = FTP_CLIENTS | sftp_clients.CLIENTS


def main(arguments=None):
    """Measure, print, perhaps write; return the exit code: 1 if zeit.cds failed, or nobody ran."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    known = QUICK if options.quick else ROWS
    rows = [row for row in known if _chosen(row, options)]
    if options.list:
        for row in known:
            print(f'{row.name:15} {row.title}')
        return 0
    results = [
        result for path in options.earlier for result in figures.load(path.read_text().splitlines())
    ]
    try:
        if options.rows or not options.earlier:
            _measure(rows, _present(CLIENTS), options, results)
    except KeyboardInterrupt:
        print('Interrupted.', file=sys.stderr)
        return 130
    if options.write:
        from bench import report

        report.write(results, ROOT / 'docs')
    if not results:
        print('Nothing was measured.', file=sys.stderr)
    bad = any(r.error and CLIENTS[r.client].ours for r in results)
    return 1 if bad or not results else 0


def _options(arguments):
    parser = argparse.ArgumentParser(
        prog='bin/bench',
        description='Measure zeit.cds and the tools that people would take instead, in turn, on'
        ' the same servers.  As root on Linux.  Without options everything: half an hour.',
    )
    parser.add_argument('--quick', action='store_true', help='a minute: only whether it works')
    parser.add_argument('--list', action='store_true', help='show the rows, measure nothing')
    parser.add_argument(
        '--rows', action='append', default=[], metavar='WORD',
        help='rows whose names begin with this',
    )  # fmt: skip
    parser.add_argument(
        '--server', action='append', choices=(*SERVERS, *OPENSSH, *WAITING), help='default: all'
    )
    parser.add_argument('--rounds', type=int, metavar='N', help='default: as in the rows')
    parser.add_argument(
        '--disk', type=pathlib.Path, default=pathlib.Path('/var/tmp'), metavar='DIR',
        help='where the row on a disk has its spool; default: %(default)s',
    )  # fmt: skip
    parser.add_argument(
        '--relay', action='store_true',
        help='delay by a relay, weaker, also where a network of its own is possible',
    )  # fmt: skip
    parser.add_argument(
        '--results', type=pathlib.Path, metavar='FILE', help='append each result as JSON'
    )
    parser.add_argument(
        '--from', dest='earlier', type=pathlib.Path, action='append', default=[], metavar='FILE',
        help='take results of earlier calls as well; measure only what --rows names',
    )  # fmt: skip
    parser.add_argument(
        '--write', action='store_true', help='write the tables and plots to docs/performance.*'
    )
    options = parser.parse_args(arguments)
    if options.quick and options.write:
        parser.error('--quick is nothing to write down')
    return options


def _chosen(row, options):
    return not options.rows or any(row.name.startswith(word) for word in options.rows)


def _terminated(number, frame):
    raise SystemExit(128 + number)


def _present(clients):
    """Return the clients that are installed; say which ones are not."""
    found = {}
    for name, client in clients.items():
        version = client.version()
        if version:
            found[name] = client
        elif client.ours:
            raise SystemExit('bin/zeit-cds does not start: run `python3 bootstrap.py` first.')
        else:
            print(f'{name} is not installed and does not take part (.ci/peers installs it).')
    return found


def _measure(rows, clients, options, results):
    """Measure the rows; append to `results` as they come."""
    for row in rows:
        for server in row.servers:
            if options.server and server not in options.server:
                continue
            started = time.monotonic()
            try:
                for result in measured(row, server, clients, options):
                    results.append(result)
                    if options.results:
                        with options.results.open('a') as file:
                            print(figures.dump(result), file=file)
            except (ServerUnavailable, ServerError) as error:
                print(f'{row.name} on {server}: {error}\n', flush=True)
                continue
            print('\n'.join(table.row_table(row, server, results)), flush=True)
            print(f'({row.name}: {time.monotonic() - started:.0f} s)\n', flush=True)


def measured(row, server, clients, options):
    """Yield a `Result` for each run of a row on a server."""
    if row.wake:
        yield from _woken(row, server, clients, options)
        return
    if row.past:
        yield from _past(row, server)
        return
    with stage(row, server, disk=options.disk, private=not options.relay) as place:
        named = [clients[name] for name in row.clients if name in clients]
        able = [client for client in named if place.takes(client)]
        for turn in range(options.rounds or row.rounds) if able else ():
            # Each round in an order of its own: nobody always inherits the caches of the same one.
            for client in random.Random(turn).sample(able, len(able)):
                told = {'row': row.name, 'server': server, 'client': client.name, 'turn': turn}
                try:
                    yield Result(**told, **_one(place, client))
                except measure.Failed as error:
                    yield Result(**told, error=str(error))


def _woken(row, server, clients, options):
    """Yield a `Result` for each publication."""
    from bench import wake

    with stage(row, server, private=not options.relay) as place:
        named = [clients[name] for name in row.clients if name in clients]
        for turn, client, seconds in wake.measured(place, named):
            told = {'row': row.name, 'server': server, 'client': client.name, 'turn': turn}
            if isinstance(seconds, float):
                yield Result(**told, seconds=seconds)
            else:
                yield Result(**told, error=str(seconds))


def _past(row, server):
    """Yield a `Result` for each client of a row about the past, or about partners."""
    from bench import partners, past

    told = {'row': row.name, 'server': server, 'turn': 0}
    measured = partners.measured if row.past == 'partners' else past.measured
    try:
        for client, fields in measured(row):
            yield Result(**{**told, **fields}, client=client)
    except measure.Failed as error:
        yield Result(**told, client=row.clients[-1], error=str(error))


def _one(place, client):
    """Let a client run; return the fields of its `Result`."""
    row, (run, packets) = place.row, place.run(client)
    details = {'served': run.served}
    if run.fsyncs is not None:
        details['fsyncs'] = run.fsyncs / row.files
    if row.max_files and (first := trace.first_time(packets, b'STOR article')):
        details['until_first'] = first - run.began
    elif row.rtt and packets:
        if row.files <= 2 * ENDS:
            # Up to the last word: what the system says to the answer to it, nobody waits for.
            sent = trace.depths(packets, rtt=row.rtt)
            details['round_trips'] = [depth for packet, depth in sent if packet.is_message][-1]
        else:
            found = trace.steady(
                packets, port=place.server.port, rtt=row.rtt, first=ENDS, last=row.files - ENDS
            )
            details.update(
                round_trips=found.round_trips, commands=found.commands, per_file=found.seconds
            )
    return {'seconds': run.seconds, 'cpu': run.cpu, 'peak': run.peak, **details}


if __name__ == '__main__':
    sys.exit(main())
