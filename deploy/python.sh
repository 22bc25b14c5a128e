#!/usr/bin/env bash
# A throw-away Python environment with what this project is compared with: PyTorch, transformers, datasets.
# Prints the path of its interpreter; installs on the first call (about 2 minutes and 6 GB, under target/).
# PyTorch's package for Linux cannot be imported without the CUDA libraries it asks for, so all of them come along.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="$(realpath -m "${CARGO_TARGET_DIR:-target}")/python"
packages=(torch==2.15.0 transformers==5.23.0 datasets==5.2.0 safetensors==0.8.0 'numpy<3')
stamp="$folder/installed: ${packages[*]}"
if [ ! -e "$stamp" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
    touch "$stamp"
fi
echo "$folder/bin/python"
