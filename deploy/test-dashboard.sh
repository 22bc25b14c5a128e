#!/usr/bin/env bash
# The dashboard in a real browser, on a real daemon with a real study. Takes the folder of lcctl and
# lc-worker. Without Chromium it says so and does nothing, except with CI=true.
set -euo pipefail
bin=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
export CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
if [ -z "$CHROMIUM" ]; then
    echo "skipped: the dashboard's browser test; install Chromium or set CHROMIUM to its path"
    [ "${CI:-}" != true ]
    exit
fi
LC_ROOT=$(mktemp -d)
export LC_ROOT
trap '"$bin/lcctl" --quiet stop >/dev/null 2>&1 || true; rm -rf "$LC_ROOT"' EXIT
# Enough steps for a curve, few enough for half a minute.
"$bin/lcctl" sweep --name tour --width 16,32 --seed 0,1 --heads 4 --block-size 64 --epochs 1 \
    --max-steps 40 --batch-size 8 --learning-rate 2e-3 --wait >/dev/null
link=$("$bin/lcctl" login)
cd web
LC_STUDY=tour LC_LOGIN_URL="$link" npm run e2e
