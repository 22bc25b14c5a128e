#!/usr/bin/env bash
# Builds what bench/gpu.py runs, and gathers it, stripped, in a folder and in an archive beside it: to be copied to a machine
# with a GPU, which needs neither Rust nor a CUDA toolkit to build, only this glibc or a newer one. A second argument names
# other features than cuda: with vulkan among them the tests run on that.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1%/}
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
    build bench --no-run --bench gpu --profile dev
    build test --no-run --lib --test gptneo --test trainer --test collection
} | made | while read -r kind name test file; do
    case $kind/$name/$test in
        bench/gpu/*) to=gpu-bench ;;
        lib/worker/true) to=unit-tests ;;
        test/*/true) to=$name-tests ;;
        *) continue ;;
    esac
    strip -o "$out/$to" "$file"
done
# Programs have most in common: this looks back further than one is long.
tar -C "$out" -c gpu-bench {unit,gptneo,trainer,collection}-tests | xz --lzma2=preset=3,dict=64MiB >"$out.tar.xz"
ls -l "$out" "$out.tar.xz"
