#!/usr/bin/env bash
# Names what this machine lacks for building, in one line each, before anything is built.
set -u
missing=0
need() { # command, what it is, remedy, [least version, version command]
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "missing: $2 ($1); $3" >&2
        missing=1
        return
    fi
    [ $# -ge 5 ] || return 0
    local found
    found=$($5 2>/dev/null | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1)
    if [ "$(printf '%s\n%s\n' "$4" "$found" | sort -V | head -n 1)" != "$4" ]; then
        echo "too old: $2 $found, needed is $4 or newer; $3" >&2
        missing=1
    fi
}
need cargo "Rust" "install it from https://rustup.rs" 1.95 "cargo --version"
need node "Node.js" "install version 20.19 or newer from https://nodejs.org" 20.19 "node --version"
# As "engines" in web/package.json has it.
if command -v node >/dev/null && ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a == 21 || (a == 22 && b < 13) ? 1 : 0)'; then
    echo "not supported: Node.js $(node --version); install version 22.13 or newer from https://nodejs.org" >&2
    missing=1
fi
need npm "npm" "it comes with Node.js: https://nodejs.org"
need gcc "a C compiler" "for example: apt-get install gcc"
need make "make" "for example: apt-get install make"
exit "$missing"
