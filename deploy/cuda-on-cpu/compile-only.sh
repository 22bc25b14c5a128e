#!/usr/bin/env bash
# Runs a command on a machine without a card, with NVIDIA's own compiler of kernels (NVRTC, which pip fetches) and a CUDA
# driver that runs nothing: do all kernels compile for a card, how long does that take, which are launched? What the command
# computes and measures is meaningless, but for the time that the host needs for a launch.
#
#     deploy/cuda-on-cpu/compile-only.sh FOLDER COMMAND...
#
# Every launch is a line of FOLDER/launches.txt, every piece of memory that is asked for, too. FOLDER/cache is emptied first.
# LC_CUDA_ARCHITECTURE is the kind of card: 90 (H100, H200) if it is not set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -e /dev/nvidia0 ]; then
    echo "/dev/nvidia0 is missing, by which lc-worker counts cards; in a container, touch it" >&2
    exit 1
fi
folder=$(realpath -m "$1")
shift
mkdir -p "$folder"
if [ ! -f "$folder/ready" ]; then
    python3 -m pip download --quiet --no-deps --dest "$folder/wheels" nvidia-cuda-nvrtc-cu12==12.9.86 \
        nvidia-cuda-runtime-cu12==12.9.79 nvidia-cuda-nvcc-cu12==12.9.86 nvidia-cuda-cccl-cu12==12.9.27
    for wheel in "$folder"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$folder/wheels"
    done
    mkdir -p "$folder/include" "$folder/lib"
    cp -r "$folder"/wheels/nvidia/cuda_runtime/include/* "$folder"/wheels/nvidia/cuda_nvcc/include/* "$folder/include"
    cp -r "$folder/wheels/nvidia/cuda_cccl/include" "$folder/include/cccl"
    cp "$folder"/wheels/nvidia/cuda_nvrtc/lib/libnvrtc*.so.12* "$folder/lib"
    ln -sf libnvrtc.so.12 "$folder/lib/libnvrtc.so"
    rm -r "$folder/wheels"
    touch "$folder/ready"
fi
g++ -std=c++20 -O2 -Wall -shared -fPIC -o "$folder/lib/libcuda.so" "$here/driver.cpp" -ldl
# By this name lc-worker looks for the driver; NVRTC would load it and wants more of it than there is.
: >"$folder/lib/libcuda.so.1"
rm -rf "$folder/cache" "$folder/launches.txt"
export LC_CUDA_ARCHITECTURE=${LC_CUDA_ARCHITECTURE:-90} LC_LAUNCHES=$folder/launches.txt LC_GPU_CACHE=$folder/cache
export CUDA_PATH=$folder LD_LIBRARY_PATH=$folder/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
exec "$@"
