#!/bin/sh
# LLVM for the CUDA backend where its own download cannot be had: static libraries from the Python index, which pip or a mirror of it can
# fetch. For building and measuring; a release should use the bundle that the backend asks for.
#
#     . xtask/cuda/llvm-offline.sh FOLDER
#     cargo build --release --workspace --features adamole/cuda
#
# It is sourced: it sets XDG_DATA_HOME, where the backend's build script looks for LLVM, and the version of the CUDA driver interface,
# which is otherwise asked from a toolkit. 92 MB are fetched, and 400 MB are unpacked. Linux on x86-64 with glibc 2.35 or later.

folder=${1:?a folder for LLVM, which is kept}
mkdir -p "$folder/data/tracel"
folder=$(cd "$folder" && pwd)
cat > "$folder/requirements.txt" <<'END'
mlc-llvm-static==23.1.1.post0 --hash=sha256:dcfec888abfaa418be77d41af585805f31463584cf9c90582992c00f392c1ac5
mlc-llvm-static-extra-targets==23.1.1.post0 --hash=sha256:c36e834d9a4e9cf9759f27fece65711ece7a2fc2b5a96dbb15d66f5e9e787929
END
# The second package has the target NVPTX.
if [ ! -d "$folder/llvm/mlc_llvm_static/static/lib" ]; then
    python3 -m pip install --no-deps --require-hashes -r "$folder/requirements.txt" --target "$folder/llvm" || return 1
fi
# The name of the version that the backend asks for; upstream's 23.1.1 takes its place.
ln -sfn "$folder/llvm/mlc_llvm_static/static" "$folder/data/tracel/tracel-llvm-23.1.0-4"
touch "$folder/data/tracel/tracel-llvm-23.1.0-4/.tracel-llvm-installed"
export XDG_DATA_HOME="$folder/data" CUDARC_CUDA_VERSION=13000
