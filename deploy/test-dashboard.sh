#!/usr/bin/env bash
# The dashboard in a real browser, on a real daemon with real studies. Takes the folder of lcctl and
# lc-worker. Without Chromium it says so and does nothing, except with CI=true.
set -euo pipefail
LC_BIN=$(cd "$1" && pwd)
export LC_BIN
cd "$(dirname "$0")/.."
export CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
if [ -z "$CHROMIUM" ]; then
    echo "skipped: the dashboard's browser tests; install Chromium or set CHROMIUM to its path"
    [ "${CI:-}" != true ]
    exit
fi
LC_ROOT=$(mktemp -d)
export LC_ROOT
lcctl() { "$LC_BIN/lcctl" --quiet "$@" >/dev/null; }
# Workers outlive a daemon that is stopped: what tests that broke off left running is cancelled before.
clean_up() {
    for study in endless moving; do lcctl cancel "$study" 2>/dev/null || true; done
    for _ in $(seq 50); do
        "$LC_BIN/lcctl" --no-start status 2>/dev/null | grep -q ' running' || break
        sleep 0.2
    done
    lcctl stop 2>/dev/null || true
    # A worker that is just told to stop may still write its last file.
    for _ in $(seq 50); do
        rm -rf "$LC_ROOT" 2>/dev/null && break
        sleep 0.2
    done
}
trap clean_up EXIT
small=(--heads 4 --block-size 64 --epochs 1 --batch-size 8)
# Enough steps for a curve, few enough for half a minute.
lcctl sweep --name tour "${small[@]}" --width 16,32 --seed 0,1,2 --max-steps 40 --learning-rate 2e-3 --wait
# Every training diverges: the command fails, as it should.
lcctl sweep --name broken "${small[@]}" --width 16 --seed 0,1 --learning-rate 1e9 --wait || [ $? = 1 ]
lcctl export tour --out "$LC_ROOT/published.csv"
lcctl import --name published "$LC_ROOT/published.csv"
cd web
npm run e2e -- "${@:2}"
