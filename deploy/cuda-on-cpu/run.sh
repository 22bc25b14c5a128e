#!/usr/bin/env bash
# Runs a command on a machine without a card as if it had one: with a CUDA driver and compiler that compute on the processor,
# slowly. For tests: what the kernels compute, as the programs that a card gets, its tensor cores included. What needs
# a card to be known, above all how fast it is, can't be seen here. Needs g++ and an x86-64.
#
#     deploy/cuda-on-cpu/run.sh FOLDER COMMAND...
#
# FOLDER keeps what is compiled, each set of sources in a folder of its own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# Kernels that were compiled with other sources of these are no use; lc-worker itself knows those of other kernels.
folder=$(realpath -m "$1")/$(cat "$here"/*.cpp "$here"/*.h "$0" | sha256sum | cut -c1-12)
shift
export LC_CUDA_ON_CPU_FLAGS="-std=c++20 -O1 -w -march=native -ffp-contract=off -fno-strict-aliasing -fPIC"
if [ ! -f "$folder/ready" ]; then
    mkdir -p "$folder"
    g++ -std=c++20 -O2 -Wall -shared -fPIC -o "$folder/libcuda.so" "$here/driver.cpp" -ldl
    g++ -std=c++20 -O2 -Wall -shared -fPIC -o "$folder/libnvrtc.so" "$here/compiler.cpp"
    g++ -std=c++20 -O2 -Wall -shared -fPIC -o "$folder/libcublasLt.so" "$here/cublas.cpp"
    cp "$here/device.h" "$folder"
    # shellcheck disable=SC2086
    g++ $LC_CUDA_ON_CPU_FLAGS -x c++-header -o "$folder/device.h.gch" "$folder/device.h"
    touch "$folder/ready"
fi
export LC_CUDA_ON_CPU=$folder LC_GPU_CACHE=$folder CUDA_PATH=$folder
export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
exec "$@"
