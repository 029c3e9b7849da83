"""The same model a second time, for comparison: plain numpy in double precision, one sentence at a time, no padding.

Shares no code with graph.py and reads its inputs by other ways: the weights by a reader of its own, the tokens from
vocab.txt instead of tokenizer.json.
"""

import json
import math

import numpy as np
from tokenizers import BertWordPieceTokenizer

erf = np.frompyfunc(math.erf, 1, 1)


def read_safetensors(path):
    """A header of JSON behind its length (8 bytes, little-endian), then the raw tensors."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    body = memoryview(data)[8 + size :]
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(body[begin:end], dtype="<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors


class Reference:
    def __init__(self, source):
        self.config = json.loads((source / "config.json").read_text())
        self.tensors = read_safetensors(source / "model.safetensors")
        self.tokenizer = BertWordPieceTokenizer(str(source / "vocab.txt"), lowercase=True)

    def tokens(self, text):
        return self.tokenizer.encode(text).ids

    def embed(self, text):
        """The text's unit vector, [hidden] in f64."""
        hidden = self._input(self.tokens(text))
        for layer in range(self.config["num_hidden_layers"]):
            hidden = self._layer(hidden, f"encoder.layer.{layer}")
        mean = hidden.mean(axis=0)
        return mean / math.sqrt(float(mean @ mean))

    def _input(self, ids):
        vectors = [
            self.tensors["embeddings.word_embeddings.weight"][token]
            + self.tensors["embeddings.position_embeddings.weight"][position]
            + self.tensors["embeddings.token_type_embeddings.weight"][0]
            for position, token in enumerate(ids)
        ]
        return self._normalize(np.stack(vectors), "embeddings.LayerNorm")

    def _layer(self, hidden, prefix):
        attended = self._dense(self._attend(hidden, f"{prefix}.attention.self"), f"{prefix}.attention.output.dense")
        hidden = self._normalize(hidden + attended, f"{prefix}.attention.output.LayerNorm")
        inner = self._dense(hidden, f"{prefix}.intermediate.dense")
        inner = inner * 0.5 * (1.0 + erf(inner / math.sqrt(2.0)).astype(np.float64))
        return self._normalize(hidden + self._dense(inner, f"{prefix}.output.dense"), f"{prefix}.output.LayerNorm")

    def _attend(self, hidden, prefix):
        query, key, value = (self._dense(hidden, f"{prefix}.{part}") for part in ("query", "key", "value"))
        size = hidden.shape[1] // self.config["num_attention_heads"]
        heads = []
        for first in range(0, hidden.shape[1], size):
            part = slice(first, first + size)
            scores = query[:, part] @ key[:, part].T / math.sqrt(size)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, part])
        return np.concatenate(heads, axis=1)

    def _dense(self, x, name):
        return np.einsum("si,oi->so", x, self.tensors[f"{name}.weight"], optimize=True) + self.tensors[f"{name}.bias"]

    def _normalize(self, x, name):
        centred = x - x.mean(axis=1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / deviation * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]
