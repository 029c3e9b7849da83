"""Computes the golden digests of src/digest/tests.rs from the description in README.md alone."""

import hashlib
import struct


def embed_input(texts):
    body = b"ailayer.embed.input.v1\0" + struct.pack(">I", len(texts))
    for text in texts:
        data = text.encode()
        body += struct.pack(">Q", len(data)) + data
    return hashlib.sha256(body).hexdigest()


def embed_output(rows, dimensions, values):
    body = b"ailayer.embed.output.v1\0" + struct.pack(">II", rows, dimensions)
    return hashlib.sha256(body + struct.pack(f"<{len(values)}f", *values)).hexdigest()


F32_MAX, F32_MIN_POSITIVE = 3.4028234663852886e38, 2.0**-126

print(embed_input([]))
print(embed_input([""]))
print(embed_input(["Bitcoin is a witness."]))
print(embed_input(["a", "bc", "Grüße, Welt"]))
print(embed_output(0, 0, []))
print(embed_output(1, 3, [0.5, -0.25, 1.0]))
print(embed_output(2, 2, [0.1, -0.0, F32_MAX, F32_MIN_POSITIVE]))
