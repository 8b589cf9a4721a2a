#!/usr/bin/env bash
# Runs tests on ONNX Runtime's CUDA part without a GPU: README.md says how, and what it shows.
# run.sh [what to run]; default: the golden numbers of inference and training
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export EMULATED_CUDA="$root/build/emulated-cuda"
python="$EMULATED_CUDA/python/bin/python"
version=$(cd "$root" && node -p "require('onnxruntime-node/package.json').version")
wheels="$EMULATED_CUDA/wheels"
unpacked="$EMULATED_CUDA/unpacked"
provider="$unpacked/onnxruntime/capi/libonnxruntime_providers_cuda.so"
lib="$EMULATED_CUDA/lib"

fetch() { # once: code of kernels, disassembler, headers
  mkdir -p "$wheels" "$unpacked" "$lib" "$EMULATED_CUDA/code" "$EMULATED_CUDA/kernels"
  python3 -m venv "$EMULATED_CUDA/python"
  "$python" -m pip install --quiet zstandard
  "$python" -m pip download --quiet --no-deps --dest "$wheels" --only-binary=:all: --python-version 3.12 \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 "onnxruntime-gpu==$version"
  "$python" -m pip download --quiet --no-deps --dest "$wheels" triton nvidia-cuda-runtime nvidia-cuda-crt
  for wheel in "$wheels"/*.whl; do "$python" -m zipfile --extract "$wheel" "$unpacked"; done
  chmod +x "$unpacked/triton/backends/nvidia/bin/nvdisasm"
  "$python" "$here/translate.py" index "$provider"
}

library() { # soname [source]
  "$python" "$here/translate.py" stubs "$provider" "$1" "${2:-/dev/null}" > "$EMULATED_CUDA/stubs.cpp"
  g++ -O3 -march=haswell -ffp-contract=off -shared -fPIC -I"$unpacked/nvidia/cu13/include" -I"$here" \
    ${2:+"$2"} "$EMULATED_CUDA/stubs.cpp" -o "$lib/$1" "-Wl,-soname,$1" -ldl
}

app() { # the package, with the CUDA part beside its runtime
  rm -rf "$EMULATED_CUDA/app"
  mkdir "$EMULATED_CUDA/app"
  (cd "$root" && cp -r src test data dist node_modules package.json tsconfig*.json vitest.config.ts "$EMULATED_CUDA/app")
  cp "$unpacked"/onnxruntime/capi/libonnxruntime_providers_{cuda,shared}.so \
    "$EMULATED_CUDA/app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64"
}

export NVDISASM="$unpacked/triton/backends/nvidia/bin/nvdisasm"
export EMULATED_CUDA_TRANSLATE="$python $here/translate.py"
[ -f "$EMULATED_CUDA/kernels.json" ] || fetch
library libcudart.so.13 "$here/cudart.cpp"
library libcublas.so.13 "$here/blas.cpp"
library libcublasLt.so.13 "$here/blas.cpp"
library libcurand.so.10
library libcuda.so.1
g++ -O3 -march=haswell -shared -fPIC -I"$here" "$here/dnn.cpp" -o "$lib/libcudnn.so"
app
cd "$EMULATED_CUDA/app"
export LD_LIBRARY_PATH="$lib" ONEWORD_DEVICE=cuda
[ -d "$root/../shared/golden" ] && export ONEWORD_GOLDEN="${ONEWORD_GOLDEN:-$root/../shared/golden}"
[ $# -gt 0 ] || set -- npx vitest run test/golden.test.ts test/train-golden.test.ts test/float16.test.ts \
  --testTimeout 900000 --no-file-parallelism
"$@"
