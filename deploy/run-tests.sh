#!/usr/bin/env bash
# Every Rust test: with nextest where it is installed, with `cargo test` otherwise.
# What can't run here says so in one line; with CI=true nothing may be skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
# The cluster that tests started, if any, ends with them.
cluster=$(dirname "$(mktemp -u)")/lc-cluster-$(id -u)
finish() {
    rm -f "$log"
    [ ! -e "$cluster" ] || LC_CLUSTER_DIR=$cluster deploy/slurm/test-cluster.sh purge >/dev/null 2>&1 || true
}
trap finish EXIT
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace --success-output=final --status-level=fail 2>&1 | tee "$log"
else
    cargo test --locked --workspace -- --nocapture 2>&1 | tee "$log"
fi
cargo test --locked --workspace --doc
skipped=$(grep -E '^ *skipped: ' "$log" | sort -u || true)
if [ -n "$skipped" ]; then
    printf '\nnot run here:\n%s\n' "$skipped"
    if [ "${CI:-}" = true ]; then
        echo "error: in CI no test may be skipped" >&2
        exit 1
    fi
fi
