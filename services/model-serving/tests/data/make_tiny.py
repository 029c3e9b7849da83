#!/usr/bin/env python3
"""Writes the tiny graphs the tests load: `python make_tiny.py` beside this file, with `onnx` installed.

The files are committed; run this only to change them. Output is deterministic.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, external_data_helper, helper, numpy_helper, save

HERE = Path(__file__).parent
VOCABULARY = 10
DIMENSIONS = 2


def write(name, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, initializer=list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="")
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    return model


def tensor(name, datatype, shape):
    return helper.make_tensor_value_info(name, datatype, shape)


def constant(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


# One identity a data type that is served: what goes in comes out. FP16 and BF16 cannot go typed.
TYPES = "BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 FLOAT16 BFLOAT16 FLOAT DOUBLE STRING".split()
TYPED = [t for t in TYPES if "FLOAT16" not in t]
for name, types in [("identities", TYPES), ("identities_typed", TYPED)]:
    write(
        name,
        [helper.make_node("Identity", [f"in_{t}"], [f"out_{t}"]) for t in types],
        [tensor(f"in_{t}", getattr(TensorProto, t), [None]) for t in types],
        [tensor(f"out_{t}", getattr(TensorProto, t), [None]) for t in types],
    )

# sum = a + b, both FP32 [-1, 2]; and a second output.
write(
    "add",
    [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])],
    [tensor("a", TensorProto.FLOAT, [None, 2]), tensor("b", TensorProto.FLOAT, [None, 2])],
    [tensor("sum", TensorProto.FLOAT, [None, 2]), tensor("difference", TensorProto.FLOAT, [None, 2])],
)

# The same names with the answers exchanged: another version of `add` that can be told from it.
write(
    "add_exchanged",
    [helper.make_node("Sub", ["a", "b"], ["sum"]), helper.make_node("Add", ["a", "b"], ["difference"])],
    [tensor("a", TensorProto.FLOAT, [None, 2]), tensor("b", TensorProto.FLOAT, [None, 2])],
    [tensor("sum", TensorProto.FLOAT, [None, 2]), tensor("difference", TensorProto.FLOAT, [None, 2])],
)

# Takes as much memory as it is told, 4 bytes an element.
write(
    "memory",
    [
        helper.make_node("ConstantOfShape", ["elements"], ["ones"], value=helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])),
        helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
    ],
    [tensor("elements", TensorProto.INT64, [1])],
    [tensor("sum", TensorProto.FLOAT, [])],
)

# Takes as long as it is told: counts to a number one by one.
body = helper.make_graph(
    [helper.make_node("Add", ["before", "step"], ["after"]), helper.make_node("Identity", ["go_on"], ["goes_on"])],
    "body",
    [tensor("i", TensorProto.INT64, []), tensor("go_on", TensorProto.BOOL, []), tensor("before", TensorProto.INT64, [1])],
    [tensor("goes_on", TensorProto.BOOL, []), tensor("after", TensorProto.INT64, [1])],
    initializer=[constant("step", np.int64([1]))],
)
write(
    "time",
    [helper.make_node("Loop", ["count", "", "zero"], ["counted"], body=body)],
    [tensor("count", TensorProto.INT64, [1])],
    [tensor("counted", TensorProto.INT64, [1])],
    [constant("zero", np.int64([0]))],
)

# A table of 10 rows: ids outside it fail while the graph runs.
table = np.arange(VOCABULARY * DIMENSIONS, dtype=np.float32).reshape(VOCABULARY, DIMENSIONS)
write(
    "gather",
    [helper.make_node("Gather", ["table", "ids"], ["rows"])],
    [tensor("ids", TensorProto.INT64, [None])],
    [tensor("rows", TensorProto.FLOAT, [None, DIMENSIONS])],
    [constant("table", table)],
)


def embedder(name, table, leaky=False):
    """Mean of the rows of the tokens that are not padding; if leaky, padding counts too."""
    counted = [helper.make_node("ReduceSum", ["weights", "middle"], ["count"], keepdims=1)]
    if leaky:
        counted = [
            helper.make_node("Shape", ["ids"], ["width"], start=1),
            helper.make_node("Cast", ["width"], ["count"], to=TensorProto.FLOAT),
        ]
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["tokens"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["columns"]),
        helper.make_node("Mul", ["tokens", "columns"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["total"], keepdims=0),
        *counted,
        helper.make_node("Div", ["total", "count"], ["embedding"]),
    ]
    write(
        name,
        nodes,
        [tensor("ids", TensorProto.INT64, [None, None]), tensor("mask", TensorProto.INT64, [None, None])],
        [tensor("embedding", TensorProto.FLOAT, [None, DIMENSIONS])],
        [constant("table", table), constant("last", np.int64([2])), constant("middle", np.int64([1]))],
    )


embedder("embed", table)
embedder("embed_leaky", table, leaky=True)
# Word 9 has no finite embedding.
poisoned = table.copy()
poisoned[VOCABULARY - 1] = np.nan
embedder("embed_poisoned", poisoned)

# A vector a token: the row of the table, and what is not finite where the mask is 0, so that padding counted by mistake shows.
write(
    "embed_tokens",
    [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["columns"]),
        helper.make_node("Div", ["rows", "columns"], ["tokens"]),
    ],
    [tensor("ids", TensorProto.INT64, [None, None]), tensor("mask", TensorProto.INT64, [None, None])],
    [tensor("tokens", TensorProto.FLOAT, [None, None, DIMENSIONS])],
    [constant("table", table), constant("last", np.int64([2]))],
)

# Takes memory for as many floats as the largest of its numbers says, and gives the numbers back.
write(
    "hungry",
    [
        helper.make_node("ReduceMax", ["floats"], ["most"], axes=[0], keepdims=0),
        helper.make_node("ConstantOfShape", ["most"], ["block"], value=constant("", np.float32([1]))),
        helper.make_node("ReduceSum", ["block"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "none"], ["nothing"]),
        helper.make_node("Cast", ["floats"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["numbers", "nothing"], ["same"]),
    ],
    [tensor("floats", TensorProto.INT64, [None, 1])],
    [tensor("same", TensorProto.FLOAT, [None, 1])],
    [constant("none", np.float32(0))],
)

# Counts as long as the largest of its numbers says, some microseconds each, and gives the numbers back.
body = helper.make_graph(
    [helper.make_node("Identity", ["going"], ["goes"]), helper.make_node("Add", ["count", "step"], ["counted"])],
    "body",
    [tensor("turn", TensorProto.INT64, []), tensor("going", TensorProto.BOOL, []), tensor("count", TensorProto.FLOAT, [])],
    [tensor("goes", TensorProto.BOOL, []), tensor("counted", TensorProto.FLOAT, [])],
    [constant("step", np.float32(1))],
)
write(
    "slow",
    [
        helper.make_node("ReduceMax", ["turns"], ["turn_count"], keepdims=0),
        helper.make_node("Loop", ["turn_count", "yes", "none"], ["count"], body=body),
        helper.make_node("Mul", ["count", "none"], ["nothing"]),
        helper.make_node("Cast", ["turns"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["numbers", "nothing"], ["same"]),
    ],
    [tensor("turns", TensorProto.INT64, [None, 1])],
    [tensor("same", TensorProto.FLOAT, [None, 1])],
    [constant("yes", np.bool_(True)), constant("none", np.float32(0))],
)

# Each row less the mean of all rows: rows mix.
write(
    "mixes",
    [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1), helper.make_node("Sub", ["x", "mean"], ["y"])],
    [tensor("x", TensorProto.FLOAT, [None, 2])],
    [tensor("y", TensorProto.FLOAT, [None, 2])],
)


def tagger(name, leaky=False):
    """A number a token, and their sum a row; if leaky, padding counts in the sum."""
    weighed = "ids" if leaky else "kept"
    write(
        name,
        [
            helper.make_node("Mul", ["ids", "mask"], ["kept"]),
            helper.make_node("Add", ["kept", "positions"], ["tags"]),
            helper.make_node("ReduceSum", [weighed, "last"], ["total"], keepdims=0),
        ],
        [tensor(input, TensorProto.INT64, [None, None]) for input in ["ids", "mask", "positions"]],
        [tensor("tags", TensorProto.INT64, [None, None]), tensor("total", TensorProto.INT64, [None])],
        [constant("last", np.int64([1]))],
    )


tagger("tagger")
tagger("tagger_leaky", leaky=True)

# Typed contents cannot carry FP16: a graph that takes FP32 and answers FP16.
write(
    "half",
    [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16), helper.make_node("Identity", ["x"], ["z"])],
    [tensor("x", TensorProto.FLOAT, [None])],
    [tensor("y", TensorProto.FLOAT16, [None]), tensor("z", TensorProto.FLOAT, [None])],
)

# Strings in rows of two.
write(
    "strings",
    [helper.make_node("Identity", ["text"], ["echo"])],
    [tensor("text", TensorProto.STRING, [None, 2])],
    [tensor("echo", TensorProto.STRING, [None, 2])],
)

# The protocol has tensors, no sequences of them.
write(
    "sequence",
    [helper.make_node("SequenceConstruct", ["x"], ["y"])],
    [tensor("x", TensorProto.FLOAT, [1])],
    [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, [1])],
)

# What a graph says about itself.
described = write(
    "described",
    [helper.make_node("Identity", ["x"], ["y"])],
    [tensor("x", TensorProto.FLOAT, [None])],
    [tensor("y", TensorProto.FLOAT, [None])],
)
described.producer_name = "make_tiny"
described.doc_string = "Gives back what it gets."
described.domain = "test.ailayer"
described.model_version = 7
helper.set_model_props(described, {"author": "nobody", "licence": "none"})
(HERE / "described.onnx").write_bytes(described.SerializeToString(deterministic=True))

# Its weights would be read from another file.
weight = numpy_helper.from_array(np.float32([1, 2]), "weight")
external_data_helper.set_external_data(weight, location="weights.bin")
weight.ClearField("raw_data")
weight.data_location = TensorProto.EXTERNAL
write(
    "external",
    [helper.make_node("Add", ["x", "weight"], ["y"])],
    [tensor("x", TensorProto.FLOAT, [2])],
    [tensor("y", TensorProto.FLOAT, [2])],
    [weight],
)

(HERE / "corrupt.onnx").write_bytes(b"this is no model\n")
