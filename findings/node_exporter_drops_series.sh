#!/usr/bin/env bash
# The node exporter drops series of one of two text files, with 200 and node_textfile_scrape_error 0.
#
# Guess, written down before: if two files in the directory of the textfile collector do not fit together (the same
#   series, another HELP, another TYPE), node_textfile_scrape_error is 1, or the scrape fails as a whole.
# Version: prometheus-node-exporter 1.5.0-1+b6 (Debian 12).
# Seen, a.prom and b.prom with the metric `last_success` and the label spool:
#                                            HTTP   scrape_error   of b.prom
#   b.prom for another spool                 200    0              there
#   the same, but another text of HELP       200    0              last_success missing
#   the same, but no HELP line               200    0              last_success missing
#   the same, but TYPE counter, not gauge    200    0              last_success missing
#   for the same spool, another value        200    0              last_success missing, a.prom's value told
#   the last line without a line end         200    1              missing as a whole
#   What is missing is told in the log of the node exporter only; node_textfile_mtime_seconds is there, and fresh,
#   for both files. Which file counts is decided by their names.
# Who meets it: two programs, or two versions of one program, that write the same metric into files of their own (an
#   upgrade of one of two hosts' containers with one directory): alerts on a value never fire again for the second
#   one, since there is no value, and the alert on scrape_error does not fire either. Alert on `absent(...)` of
#   each series, and let one program write one file.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root prometheus-node-exporter=1.5.0-1+b6
dpkg -x prometheus-node-exporter_*.deb root
root/usr/bin/prometheus-node-exporter --version 2>&1 | sed -n 1p
mkdir texts
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
root/usr/bin/prometheus-node-exporter --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory=texts --web.listen-address="127.0.0.1:$port" >log 2>&1 &
pid=$!
for _ in $(seq 200); do
    if (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.05
done

help='# HELP last_success When it last went well.'
type='# TYPE last_success gauge'
printf '%s\n' "$help" "$type" 'last_success{spool="articles"} 100' >texts/a.prom
seen=
# look WHAT FORMAT LINE...: one line about what is told when b.prom has these lines
look() {
    local what=$1 format=$2 status
    shift 2
    # shellcheck disable=SC2059  # it is a format
    printf "$format" "$@" >texts/b.prom
    status=$(curl -sS -m 20 -o metrics -w '%{http_code}' "http://127.0.0.1:$port/metrics")
    line="$what: $status $(sed -n 's/^node_textfile_scrape_error //p' metrics)"
    line+=" $(grep -c '^node_textfile_mtime' metrics) $(grep -E '^(last_success|other)' metrics | tr '\n' ' ')"
    echo "$line"
    seen+="$line
"
}
pictures='last_success{spool="pictures"} 5'
look 'another spool' '%s\n' "$help" "$type" "$pictures" 'other 1'
look 'another HELP' '%s\n' "$help Really." "$type" "$pictures" 'other 1'
look 'no HELP' '%s\n' "$type" "$pictures" 'other 1'
look 'another TYPE' '%s\n' "$help" '# TYPE last_success counter' "$pictures" 'other 1'
look 'the same spool' '%s\n' "$help" "$type" 'last_success{spool="articles"} 5' 'other 1'
look 'no line end' '%s\n%s\n%s' "$help" "$type" "$pictures"
articles='last_success{spool="articles"} 100'
wanted="another spool: 200 0 2 $articles $pictures other 1 
another HELP: 200 0 2 $articles other 1 
no HELP: 200 0 2 $articles other 1 
another TYPE: 200 0 2 $articles other 1 
the same spool: 200 0 2 $articles other 1 
no line end: 200 1 1 $articles 
"
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
