#!/usr/bin/env bash
# The worker on a GPU: every kernel against the processor, and the golden values of model, training and collection.
# The device is what speaks Vulkan: Mesa's software where there is no card. (On a card with CUDA: see gpu-programs.sh.)
# Where nothing speaks Vulkan that is said in one line; with CI=true that is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null && ! compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null; then
    echo "skipped: the GPU's kernels; install libvulkan1 and mesa-vulkan-drivers (Debian's names) to test them in software"
    [ "${CI:-}" != true ]
    exit
fi
LC_GPU_CACHE=$(realpath -m "${CARGO_TARGET_DIR:-target}")/gpu-cache
export LC_GPU_CACHE
programs=(--lib --test gptneo --test trainer --test collection)
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked -p worker --features cuda,vulkan "${programs[@]}" --status-level=fail \
        -E 'test(kernels::gpu) or binary(gptneo) or binary(trainer) or binary(collection)'
else
    cargo test --locked -p worker --features cuda,vulkan "${programs[@]}"
fi
