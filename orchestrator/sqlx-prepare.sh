#!/bin/sh
# Writes what the compiler must know about every SQL statement to .sqlx, so that a build needs no database.
# Usage: sqlx-prepare.sh            renew .sqlx after a change of migrations or statements
#        sqlx-prepare.sh --check    fail if .sqlx is not what it would write
set -eu

check=no
case "${1-}" in
    '') ;;
    --check) check=yes ;;
    *) echo "sqlx-prepare.sh: unknown argument '$1'; accepted: --check" >&2; exit 2 ;;
esac

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
source=$root/orchestrator/src/lib.rs
touch -r "$source" "$work/before"
# With its time, or everything that was built of it would be built again.
trap 'touch -r "$work/before" "$source"; rm -rf "$work"' EXIT INT TERM

database=$work/record.sqlite
if command -v sqlite3 >/dev/null; then
    for migration in "$root"/migrations/*.sql; do sqlite3 -bail "$database" <"$migration"; done
elif command -v python3 >/dev/null; then
    python3 - "$database" "$root"/migrations/*.sql <<'PYTHON'
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
for migration in sys.argv[2:]:
    connection.executescript(open(migration, encoding="utf-8").read())
PYTHON
else
    echo "sqlx-prepare.sh: needs sqlite3 or python3" >&2
    exit 2
fi

mkdir "$work/queries"
# The macros write a file per statement while the crate is compiled; touching it makes sure that it is.
touch "$source"
(cd "$root" && DATABASE_URL=sqlite://$database SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$work/queries \
    cargo check --quiet --package orchestrator --lib)

if [ "$check" = yes ]; then
    diff -r "$work/queries" "$root/.sqlx" >&2 || {
        echo ".sqlx is not current; run orchestrator/sqlx-prepare.sh and commit" >&2
        exit 1
    }
else
    rm -rf "$root/.sqlx"
    mkdir "$root/.sqlx"
    cp "$work"/queries/*.json "$root/.sqlx/"
    echo "wrote $(ls "$root/.sqlx" | wc -l) statements to .sqlx"
fi
