#!/usr/bin/env python3
"""Writes identity.onnx: `python make_identity.py` beside this file, with `onnx` installed. Output is deterministic."""

from pathlib import Path

from onnx import TensorProto, helper

graph = helper.make_graph(
    [helper.make_node("Identity", ["in"], ["out"])],
    "identity",
    [helper.make_tensor_value_info("in", TensorProto.INT64, [None])],
    [helper.make_tensor_value_info("out", TensorProto.INT64, [None])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="")
Path(__file__).with_name("identity.onnx").write_bytes(model.SerializeToString(deterministic=True))
