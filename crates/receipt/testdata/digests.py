"""Computes the golden digests of src/digest/tests.rs and src/tensor/tests.rs from the description in README.md alone."""

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


def part(data):
    return struct.pack(">Q", len(data)) + data


def tensors(listed):
    body = struct.pack(">I", len(listed))
    for name, datatype, shape, contents in listed:
        body += part(name.encode()) + part(datatype.encode())
        body += struct.pack(f">I{len(shape)}Q", len(shape), *shape) + part(contents)
    return body


def infer_input(inputs, outputs):
    body = b"ailayer.infer.input.v1\0" + tensors(inputs) + struct.pack(">I", len(outputs))
    return hashlib.sha256(body + b"".join(part(name.encode()) for name in outputs)).hexdigest()


def infer_output(outputs):
    return hashlib.sha256(b"ailayer.infer.output.v1\0" + tensors(outputs)).hexdigest()


WHOLE = [
    ("x", "FP32", [1, 2], struct.pack("<2f", 1.5, -0.0)),
    ("words", "BYTES", [2], struct.pack("<I", 2) + b"ab" + struct.pack("<I", 0)),
    ("flag", "BOOL", [], b"\1"),
]

print(infer_input(WHOLE, ["y"]))
print(infer_output(WHOLE))
