#!/usr/bin/env bash
# How fast the dashboard is with 10,000 runs and ten million points of training curves; writes bench/dashboard.md.
# Takes the folder of lcctl and of the examples, and for how many minutes updates are watched (1 if missing).
set -euo pipefail
bin=$(cd "$1" && pwd)
minutes=${2:-1}
cd "$(dirname "$0")/.."
LC_ROOT=$(mktemp -d)
export LC_ROOT
trap '"$bin/lcctl" --quiet stop >/dev/null 2>&1 || true; rm -rf "$LC_ROOT"' EXIT
"$bin/examples/seed_record" "$LC_ROOT"
"$bin/lcctl" serve --slots 0 --listen 127.0.0.1:0 >"$LC_ROOT/daemon.log" 2>&1 &
daemon=$!
until [ -f "$LC_ROOT/daemon.json" ]; do
    kill -0 "$daemon" 2>/dev/null || { cat "$LC_ROOT/daemon.log" >&2; exit 1; }
    sleep 0.2
done
url=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$LC_ROOT/daemon.json")
# The table of all runs is read at the start.
curl -fsS -H "Authorization: Bearer $(cat "$LC_ROOT/token")" "$url/api/v1/studies/large/board" >/dev/null
{
    echo "# The dashboard with 10,000 runs"
    echo
    echo "Written by \`make bench-dashboard\`: 60,001 stages, $(sqlite3 "$LC_ROOT/lc.sqlite" 'SELECT count(*) FROM metrics' 2>/dev/null || echo ten million) points of training curves,"
    echo "daemon and browser on one machine of $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)). Aims: first paint within 1 s, data of a page below"
    echo "200 KB, p95 of every list below 30 ms, at most 2 updates per second, a browser below 200 MB."
    echo
    node bench/dashboard.mjs "$url" "$(cat "$LC_ROOT/token")" large "$minutes"
    echo
    echo "Memory of the daemon afterwards: $(ps -o rss= -p "$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$LC_ROOT/daemon.json")" | awk '{printf "%.0f MB", $1 / 1024}')."
} | tee bench/dashboard.md
