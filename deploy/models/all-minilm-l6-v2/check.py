#!/usr/bin/env python3
"""Checks a built model folder. Exit code 0 only when all of this holds:

  tokens     tokenizer.json splits each sentence as the package's vocabulary does
  reference  ONNX Runtime's embedding agrees with reference.py (cosine >= 0.9999)
  padding    a sentence inside a padded batch gives what it gives alone (cosine >= 0.99999)
  golden     reference.py still gives what golden.json records (for the tests in Rust)
  bytes      two more builds are byte-identical to the folder
  meaning    paraphrases are closer to each other than strangers
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from build import build, digests, package_folder
from reference import Reference

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden.json"
LEAST_COSINE = 0.9999
LEAST_COSINE_PADDED = 0.99999
GOLDEN_TOLERANCE = 1e-6  # golden.json is rounded to six decimals

# 0 and 1 mean the same, so do 2 and 3. The rest are odd on purpose: short, long (over 128 tokens), accents, other scripts, signs.
SENTENCES = [
    "The cat sits outside in the sun.",
    "A kitten is resting outdoors on a sunny day.",
    "How do I pay a Lightning invoice?",
    "What is the way to settle a bill over the Lightning Network?",
    "Bitcoin",
    "Crème brûlée, São Paulo & Zürich: naïve façades cost €1,234.56!",
    "東京は日本の首都です。 Москва — столица России. 🚀",
    "fn main() { println!(\"{}\", 0x2A_u64.checked_mul(1_000).unwrap_or(u64::MAX)); }",
    "supercalifragilisticexpialidocious antidisestablishmentarianism   \t with\nodd   spacing",
    " ".join(f"Clause {i}: the buyer pays on success and the seller serves only against locked money, both keep the receipt." for i in range(1, 8)),
]


class Served:
    """The model as it is served: tokenizer.json and model.onnx through ONNX Runtime."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])

    def tokens(self, text):
        return self.tokenizer.encode(text).ids

    def embed(self, texts):
        rows = [self.tokens(text) for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self.session.run(["sentence_embedding"], inputs)[0].astype(np.float64)


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def check_sentences(served, reference, expected):
    """Prints the table; returns what is wrong, as lines."""
    wrong = []
    batch = served.embed(SENTENCES)
    print(" #  tokens  reference   padding     longest error  text")
    for i, text in enumerate(SENTENCES):
        alone = served.embed([text])[0]
        agreement, padded = cosine(alone, expected[i]), cosine(alone, batch[i])
        count = len(served.tokens(text))
        print(f"{i:2}  {count:6}  {agreement:.8f}  {padded:.8f}  {np.abs(alone - expected[i]).max():.1e}        {text[:48]!r}")
        if served.tokens(text) != reference.tokens(text):
            wrong.append(f"sentence {i}: tokenizer.json and the vocabulary give different tokens")
        # Negated so that a NaN is wrong too.
        if not agreement >= LEAST_COSINE:
            wrong.append(f"sentence {i}: cosine with the reference is {agreement:.8f}, must be at least {LEAST_COSINE}")
        if not padded >= LEAST_COSINE_PADDED:
            wrong.append(f"sentence {i}: padding changes it, cosine {padded:.8f}, must be at least {LEAST_COSINE_PADDED}")
        if not abs(np.linalg.norm(alone) - 1.0) <= 1e-5:
            wrong.append(f"sentence {i}: its length is {np.linalg.norm(alone)}, must be 1")
    alike = min(cosine(batch[0], batch[1]), cosine(batch[2], batch[3]))
    strange = max(cosine(batch[a], batch[b]) for a in (0, 1) for b in (2, 3))
    print(f"paraphrases at least {alike:.3f}, strangers at most {strange:.3f}")
    if not alike > strange + 0.3:
        wrong.append(f"paraphrases ({alike:.3f}) are hardly closer than strangers ({strange:.3f})")
    return wrong


def check_builds(folder):
    source, first = package_folder(), digests(folder)
    with tempfile.TemporaryDirectory() as temp:
        for run in ("1", "2"):
            if build(source, pathlib.Path(temp) / run) != first:
                return [f"build {run} gives other bytes than {folder}"]
    print("two builds more: identical bytes")
    return []


def golden_document(reference, expected):
    cases = [
        {
            "text": text,
            "tokens": len(reference.tokens(text)),
            "ids": reference.tokens(text),
            "first": [round(float(x), 9) for x in vector[:8]],
            "embedding": [round(float(x), 6) for x in vector],
        }
        for text, vector in zip(SENTENCES, expected)
    ]
    about = "written by check.py --write-golden from reference.py (numpy, f64); `first` has nine decimals, `embedding` six"
    head = json.dumps({"about": about, "model": "all-minilm-l6-v2"}, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
    return f'{head},\n "cases": [\n{lines}\n ]\n}}\n'


def check_golden(reference, expected):
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
    if [case["text"] for case in cases] != SENTENCES:
        return ["golden.json has other sentences; write it again with --write-golden"]
    wrong = []
    for i, (case, vector) in enumerate(zip(cases, expected)):
        if case["ids"] != reference.tokens(case["text"]) or not np.abs(vector - case["embedding"]).max() <= GOLDEN_TOLERANCE:
            wrong.append(f"sentence {i}: golden.json differs from the reference")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="the model's version folder, as build.py writes it")
    parser.add_argument("--write-golden", action="store_true", help="write golden.json from the reference first")
    args = parser.parse_args()

    reference = Reference(package_folder())
    expected = np.stack([reference.embed(text) for text in SENTENCES])
    if args.write_golden:
        GOLDEN.write_text(golden_document(reference, expected), encoding="utf-8")
    wrong = check_sentences(Served(args.folder), reference, expected) + check_golden(reference, expected) + check_builds(args.folder)
    if wrong:
        sys.exit("check.py: " + "\n          ".join(wrong))
    print(f"summary: {len(SENTENCES)} sentences agree with the numpy reference, padding changes nothing, builds are byte-identical")


if __name__ == "__main__":
    main()
