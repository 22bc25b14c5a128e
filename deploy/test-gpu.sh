#!/usr/bin/env bash
# The worker on a GPU: every kernel against the processor, and the golden values of model, training and collection. The
# device is what speaks Vulkan: Mesa's software where there is no card. Then the kernels once more, as CUDA programs on the
# processor, which have more than Vulkan in software has: bf16 and tensor cores. (On a card with CUDA: see
# gpu-programs.sh.) What can't be tested here is said in one line; with CI=true that is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
skipped() {
    echo "skipped: $1"
    [ "${CI:-}" != true ]
}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
with=(env "LC_GPU_CACHE=$target/gpu-cache")
# Of the whole workspace, so that what both programs need is built once for this and for `make test`. Kernels are compiled
# for the device when they run; optimising the code around them would take six minutes and save none, and of the other
# program nothing is run at all.
targets=(--locked --workspace --features worker/cuda,worker/vulkan --config 'profile.dev.package.worker.opt-level=0'
    --config 'profile.dev.package.orchestrator.opt-level=0' --lib --test gptneo --test trainer --test collection --test lost)
# A filter for nextest, and what says the same to cargo test.
tests() {
    local filter=$1
    shift
    if cargo nextest --version >/dev/null 2>&1; then
        "${with[@]}" cargo nextest run "${targets[@]}" --status-level=fail -E "package(worker) and ($filter)"
    else
        "${with[@]}" cargo test "${targets[@]}" -- "$@"
    fi
}
if compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null; then
    tests '(test(kernels::gpu) - test(on_cuda)) + binary(gptneo) + binary(trainer) + binary(collection) + binary(lost)' \
        --skip on_cuda
else
    skipped "the GPU's kernels on Vulkan; install libvulkan1 and mesa-vulkan-drivers (Debian's names) to test them in software"
fi
if [ "$(uname -sm)" = "Linux x86_64" ] && command -v g++ >/dev/null; then
    # Programs are run with it, but not built: what is built depends on CUDA_PATH.
    deploy/cuda-on-cpu/run.sh "$target/cuda-on-cpu" true
    with=(env "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=$PWD/deploy/cuda-on-cpu/run.sh $target/cuda-on-cpu")
    tests 'test(kernels::gpu::on_cuda)' kernels::gpu::on_cuda
    # Once more with the threads in another order, as on a newer card: what plays one takes it that threads wait for each other.
    with+=(LC_THREADS=reverse LC_CUDA_ARCHITECTURE=90)
    tests 'test(on_cuda::tests::attention_in_bf16) + test(on_cuda::tests::cross_entropy_in_bf16)' \
        on_cuda::tests::attention_in_bf16 on_cuda::tests::cross_entropy_in_bf16
else
    skipped "the GPU's kernels as CUDA programs; install g++ on Linux and x86-64 to run them on the processor"
fi
