"""The computation of a BERT sentence encoder as an ONNX graph.

ONNX Runtime fuses what pays: layer by layer it makes one kernel of GELU with its bias and one of the scaled attention
products. Declaring shapes so that it also fuses the skip connections with their normalisation was tried and was slower
on a CPU (31 ms against 18 ms of 270 ms for eight texts of 128 tokens). Three quarters of the time are matrix products.
"""

import numpy as np
from onnx import TensorProto, helper

OPSET = 17  # the first with LayerNormalization
IR_VERSION = 8  # the one that belongs to this opset, fixed so that a newer onnx package writes the same bytes
MASKED = -10000.0  # added to the scores of padding: exp() of it is exactly 0 in f32


class Graph:
    """Collects nodes and constants. Every name is chosen here or derived from a weight's name: nothing depends on a run."""

    def __init__(self):
        self.nodes = []
        self.constants = []

    def add(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name, array):
        array = np.ascontiguousarray(array)
        kind = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}[str(array.dtype)]
        little_endian = array.astype(array.dtype.newbyteorder("<"))
        self.constants.append(helper.make_tensor(name, kind, array.shape, little_endian.tobytes(), raw=True))
        return name

    def scalar(self, name, value):
        return self.constant(name, np.array(value, dtype=np.float32))

    def ints(self, name, values):
        return self.constant(name, np.array(values, dtype=np.int64))


class Encoder:
    def __init__(self, config, weights):
        self.config = config
        self.weights = weights
        self.heads = config["num_attention_heads"]
        self.head_size = config["hidden_size"] // self.heads
        self.g = Graph()

    def linear(self, x, weight, name):
        """x · Wᵀ + b, for a weight stored as [out, in]."""
        matrix = self.g.constant(f"{weight}.weight", self.weights[f"{weight}.weight"].T)
        bias = self.g.constant(f"{weight}.bias", self.weights[f"{weight}.bias"])
        return self.g.add("Add", [self.g.add("MatMul", [x, matrix], f"{name}/matmul"), bias], name)

    def layer_norm(self, x, weight, name):
        scale = self.g.constant(f"{weight}.weight", self.weights[f"{weight}.weight"])
        bias = self.g.constant(f"{weight}.bias", self.weights[f"{weight}.bias"])
        return self.g.add("LayerNormalization", [x, scale, bias], name, axis=-1, epsilon=self.config["layer_norm_eps"])

    def embeddings(self):
        g = self.g
        tables = {
            kind: g.constant(f"embeddings.{kind}_embeddings.weight", self.weights[f"embeddings.{kind}_embeddings.weight"])
            for kind in ("word", "token_type", "position")
        }
        words = g.add("Gather", [tables["word"], "input_ids"], "embeddings/words", axis=0)
        types = g.add("Gather", [tables["token_type"], "token_type_ids"], "embeddings/types", axis=0)
        # One-dimensional, as Slice demands of its `ends`; a scalar taken with Gather breaks under ONNX Runtime's fusions.
        length = g.add("Shape", ["input_ids"], "embeddings/length", start=1, end=2)
        positions = g.add("Slice", [tables["position"], g.ints("zero", [0]), length, g.ints("axis_0", [0])], "embeddings/positions")
        total = g.add("Add", [g.add("Add", [words, types], "embeddings/words_and_types"), positions], "embeddings/sum")
        return self.layer_norm(total, "embeddings.LayerNorm", "embeddings/normalized")

    def attention_bias(self):
        """[batch, 1, 1, seq]: 0 for a token, MASKED for padding."""
        g = self.g
        wide = g.add("Unsqueeze", ["attention_mask", g.ints("axes_1_2", [1, 2])], "mask/wide")
        kept = g.add("Cast", [wide], "mask/float", to=TensorProto.FLOAT)
        padding = g.add("Sub", [g.scalar("one", 1.0), kept], "mask/padding")
        return g.add("Mul", [padding, g.scalar("masked", MASKED)], "mask/bias")

    def attention(self, x, bias, layer):
        g, here = self.g, f"layer_{layer}/attention"
        source = f"encoder.layer.{layer}.attention"

        def heads(kind, order):
            flat = self.linear(x, f"{source}.self.{kind}", f"{here}/{kind}")
            split = g.add("Reshape", [flat, "split_heads"], f"{here}/{kind}/split")
            return g.add("Transpose", [split], f"{here}/{kind}/heads", perm=order)

        query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scores = g.add("Div", [g.add("MatMul", [query, key], f"{here}/products"), "sqrt_head_size"], f"{here}/scores")
        weights = g.add("Softmax", [g.add("Add", [scores, bias], f"{here}/masked_scores")], f"{here}/weights", axis=3)
        mixed = g.add("Transpose", [g.add("MatMul", [weights, value], f"{here}/mixed")], f"{here}/mixed_back", perm=[0, 2, 1, 3])
        joined = g.add("Reshape", [mixed, "join_heads"], f"{here}/joined")
        out = self.linear(joined, f"{source}.output.dense", f"{here}/out")
        return self.layer_norm(g.add("Add", [out, x], f"{here}/skip"), f"{source}.output.LayerNorm", f"{here}/normalized")

    def feed_forward(self, x, layer):
        g, here, source = self.g, f"layer_{layer}/feed_forward", f"encoder.layer.{layer}"
        wide = self.linear(x, f"{source}.intermediate.dense", f"{here}/wide")
        # Exact GELU: x · (1 + erf(x / sqrt 2)) / 2
        erf = g.add("Erf", [g.add("Div", [wide, "sqrt_2"], f"{here}/scaled")], f"{here}/erf")
        gated = g.add("Mul", [wide, g.add("Add", [erf, "one"], f"{here}/erf_plus_1")], f"{here}/gated")
        active = g.add("Mul", [gated, "half"], f"{here}/gelu")
        out = self.linear(active, f"{source}.output.dense", f"{here}/out")
        return self.layer_norm(g.add("Add", [out, x], f"{here}/skip"), f"{source}.output.LayerNorm", f"layer_{layer}")

    def sentence(self, tokens):
        """Mean of the unmasked token vectors, then length 1."""
        g = self.g
        kept = g.add("Cast", [g.add("Unsqueeze", ["attention_mask", g.ints("axis_2", [2])], "pool/wide")], "pool/kept", to=TensorProto.FLOAT)
        axis = g.ints("axis_1", [1])
        total = g.add("ReduceSum", [g.add("Mul", [tokens, kept], "pool/masked"), axis], "pool/sum", keepdims=0)
        count = g.add("ReduceSum", [kept, axis], "pool/count", keepdims=0)
        # The two floors are those of sentence-transformers; they only keep an all-padding row from dividing by zero.
        mean = g.add("Div", [total, g.add("Max", [count, g.scalar("least_count", 1e-9)], "pool/count_floor")], "pool/mean")
        norm = g.add("ReduceL2", [mean], "pool/norm", axes=[1], keepdims=1)
        return g.add("Div", [mean, g.add("Max", [norm, g.scalar("least_norm", 1e-12)], "pool/norm_floor")], "sentence_embedding")

    def model(self):
        g, hidden = self.g, self.config["hidden_size"]
        g.ints("split_heads", [0, 0, self.heads, self.head_size])
        g.ints("join_heads", [0, 0, hidden])
        g.scalar("sqrt_head_size", np.sqrt(self.head_size))
        g.scalar("sqrt_2", np.sqrt(2.0))
        g.scalar("half", 0.5)

        bias = self.attention_bias()
        x = self.embeddings()
        for layer in range(self.config["num_hidden_layers"]):
            x = self.feed_forward(self.attention(x, bias, layer), layer)
        tokens = g.add("Identity", [x], "token_embeddings")
        self.sentence(tokens)

        def value(name, kind, *shape):
            return helper.make_tensor_value_info(name, kind, shape)

        graph = helper.make_graph(
            g.nodes,
            "all-minilm-l6-v2",
            [value(name, TensorProto.INT64, "batch", "seq") for name in ("input_ids", "attention_mask", "token_type_ids")],
            [
                value("token_embeddings", TensorProto.FLOAT, "batch", "seq", hidden),
                value("sentence_embedding", TensorProto.FLOAT, "batch", hidden),
            ],
            initializer=g.constants,
        )
        return helper.make_model(graph, producer_name="ailayer", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
