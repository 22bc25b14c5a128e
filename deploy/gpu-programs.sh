#!/usr/bin/env bash
# Builds what bench/gpu.py runs, and gathers it, stripped, in a folder: to be copied to a machine with a GPU, which needs
# neither Rust nor a CUDA toolkit, only this glibc or a newer one. A second argument names other features than cuda: with
# vulkan among them the tests run on that.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
features=${2:-cuda}
mkdir -p "$out"
build() { cargo "$@" --locked -p worker --features "$features" --message-format json; }
# From cargo's messages: kind of target, name, whether it is a test, file.
made() {
    python3 -c '
import json, sys
for message in map(json.loads, sys.stdin):
    if message.get("executable"):
        target = message["target"]
        print(target["kind"][0], target["name"], str(message["profile"]["test"]).lower(), message["executable"])'
}
{
    build build --bin lc-worker
    build bench --no-run --bench gpu --profile dev
    build test --no-run --lib --test gptneo --test trainer --test collection
} | made | while read -r kind name test file; do
    case $kind/$name/$test in
        bin/lc-worker/false) to=lc-worker ;;
        bench/gpu/*) to=gpu-bench ;;
        lib/worker/true) to=unit-tests ;;
        test/*/true) to=$name-tests ;;
        *) continue ;;
    esac
    strip -o "$out/$to" "$file"
done
ls -l "$out"
