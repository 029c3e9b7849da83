"""Drives a running service as an existing user of Triton would: with NVIDIA's client, unmodified.

usage: session.py HOST:PORT DESCRIPTORS GRAPH

DESCRIPTORS is this project's FileDescriptorSet. The models `add` and `identities` are loaded; `later` is in the folder, a copy of
`add`, and loaded by calls. GRAPH is the file of another graph with the tensors of `add`, whose answers are exchanged.
"""

import json
import queue
import sys
import time
from pathlib import Path

import grpc
import numpy as np
import tritonclient.grpc as triton
from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, triton_to_np_dtype


def main():
    address, descriptors, graph = sys.argv[1:]
    wire_equals_tritons(descriptors)
    client = triton.InferenceServerClient(address)
    health_and_metadata(client)
    configuration(client)
    raw(client)
    compressed(client)
    deadline_and_priority(client)
    typed(address)
    half_and_strings(client)
    errors(client)
    stream(client)
    stream_with_status(client)
    statistics(client)
    repository(client)
    load_and_unload(client, Path(graph).read_bytes())
    not_offered(client)
    client.close()
    print("session complete")


def wire_equals_tritons(path):
    """Every field that Triton's client knows has the same number, type and label here."""
    with open(path, "rb") as file:
        ours = fields_of(descriptor_pb2.FileDescriptorSet.FromString(file.read()).file)
    theirs = []
    for module in (service_pb2, model_config_pb2):
        proto = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(proto)
        theirs.append(proto)
    compared = 0
    for name, field in fields_of(theirs).items():
        # Messages of calls that are not offered are absent.
        if any(part in name for part in ("SharedMemory", "TraceSetting", "LogSettings")):
            continue
        assert ours.get(name) == field, (name, field, ours.get(name))
        compared += 1
    assert compared > 300, compared


def fields_of(files):
    fields = {}

    def message(prefix, proto):
        name = f"{prefix}.{proto.name}"
        for field in proto.field:
            fields[f"{name}.{field.name}"] = (field.number, field.type, field.label, field.type_name)
        for enum in proto.enum_type:
            enumeration(name, enum)
        for nested in proto.nested_type:
            message(name, nested)

    def enumeration(prefix, proto):
        for value in proto.value:
            fields[f"{prefix}.{proto.name}.{value.name}"] = (value.number,)

    for file in files:
        if file.package == "inference":
            for proto in file.message_type:
                message(file.package, proto)
            for enum in file.enum_type:
                enumeration(file.package, enum)
    return fields


def health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("add") and client.is_model_ready("add", "1")
    assert not client.is_model_ready("absent")
    server = client.get_server_metadata()
    assert server.name and server.version
    for extension in ("binary_tensor_data", "model_configuration", "statistics", "parameters", "schedule_policy", "model_repository"):
        assert extension in server.extensions, server.extensions
    for absent in ("system_shared_memory", "cuda_shared_memory", "trace", "logging", "sequence"):
        assert absent not in server.extensions
    model = client.get_model_metadata("add")
    assert (model.name, list(model.versions), model.platform) == ("add", ["1"], "onnxruntime_onnx")
    assert [(i.name, i.datatype, list(i.shape)) for i in model.inputs] == [
        ("a", "FP32", [-1, 2]),
        ("b", "FP32", [-1, 2]),
    ]


def configuration(client):
    config = client.get_model_config("add").config
    assert (config.name, config.backend) == ("add", "onnxruntime")
    assert [i.name for i in config.input] == ["a", "b"]
    assert config.input[0].data_type == model_config_pb2.TYPE_FP32
    shape = list(config.input[0].dims) if config.max_batch_size == 0 else [-1, *config.input[0].dims]
    assert shape == [-1, 2], config
    assert config.instance_group[0].count >= 1
    as_json = client.get_model_config("add", as_json=True)
    assert as_json["config"]["name"] == "add"


def pair(a, b):
    inputs = [triton.InferInput(name, list(value.shape), "FP32") for name, value in (("a", a), ("b", b))]
    for target, value in zip(inputs, (a, b)):
        target.set_data_from_numpy(value)
    return inputs


A = np.array([[1, 2], [3, 4]], dtype=np.float32)
B = np.array([[10, 20], [30, 40]], dtype=np.float32)


def raw(client):
    outputs = [triton.InferRequestedOutput("difference"), triton.InferRequestedOutput("sum")]
    result = client.infer("add", pair(A, B), request_id="seven", outputs=outputs)
    assert result.get_response().id == "seven"
    assert [o.name for o in result.get_response().outputs] == ["difference", "sum"]
    assert np.array_equal(result.as_numpy("sum"), A + B)
    assert np.array_equal(result.as_numpy("difference"), A - B)
    assert np.array_equal(client.infer("add", pair(A, B), model_version="1").as_numpy("sum"), A + B)
    done = queue.Queue()
    client.async_infer("add", pair(A, B), lambda result, error: done.put((result, error)))
    result, error = done.get(timeout=30)
    assert error is None and np.array_equal(result.as_numpy("sum"), A + B)


def compressed(client):
    for algorithm in ("gzip", "deflate"):
        big = np.tile(A, (500, 1))
        result = client.infer("add", pair(big, big), compression_algorithm=algorithm)
        assert np.array_equal(result.as_numpy("sum"), big + big)


def deadline_and_priority(client):
    result = client.infer("add", pair(A, B), timeout=30_000_000, client_timeout=30, headers={"x-ailayer-account": "acct"})
    assert np.array_equal(result.as_numpy("sum"), A + B)
    result = client.infer("add", pair(A, B), parameters={"unknown": "ignored"})
    assert np.array_equal(result.as_numpy("sum"), A + B)


def typed(address):
    """The client sends raw contents only: this one is built by hand."""
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name="add", id="typed")
        for name, value in (("a", A), ("b", B)):
            tensor = request.inputs.add(name=name, datatype="FP32", shape=value.shape)
            tensor.contents.fp32_contents.extend(value.flatten())
        answer = stub.ModelInfer(request)
        assert not answer.raw_output_contents
        outputs = {o.name: list(o.contents.fp32_contents) for o in answer.outputs}
        assert outputs["sum"] == [11, 22, 33, 44], outputs


def half_and_strings(client):
    """Every data type there is goes there and back."""
    inputs, sent = [], {}
    for described in client.get_model_metadata("identities").inputs:
        if described.datatype == "BYTES":
            value = np.array(["one", "zwölf"], dtype=np.object_)
        else:
            value = np.array([0, 1], dtype=triton_to_np_dtype(described.datatype))
        tensor = triton.InferInput(described.name, [2], described.datatype)
        tensor.set_data_from_numpy(value)
        inputs.append(tensor)
        sent[described.name.replace("in_", "out_")] = value
    assert len(sent) == 14, sorted(sent)
    result = client.infer("identities", inputs)
    for name, value in sent.items():
        answered = result.as_numpy(name)
        if answered.dtype == np.object_:
            answered = [text.decode() for text in answered]
        assert list(answered) == list(value), (name, answered, value)


def refused(call, status, text):
    try:
        call()
    except InferenceServerException as error:
        assert status in str(error.status()), error
        assert text in error.message(), error
    else:
        raise AssertionError(f"not refused: {status} {text}")


def errors(client):
    absent = lambda: client.infer("absent", pair(A, B))
    refused(absent, "NOT_FOUND", "absent")
    refused(lambda: client.get_model_config("absent"), "NOT_FOUND", "absent")
    refused(lambda: client.infer("add", pair(A, B)[:1]), "INVALID_ARGUMENT", "'b'")
    wide = np.zeros((1, 3), dtype=np.float32)
    refused(lambda: client.infer("add", pair(wide, wide)), "INVALID_ARGUMENT", "shape")
    refused(lambda: client.infer("add", pair(A, B), headers={"x-ailayer-account": "a b"}), "INVALID_ARGUMENT", "account")
    refused(lambda: client.infer("add", pair(A, B), client_timeout=0.000001), "DEADLINE_EXCEEDED", "")


def stream(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(100):
        client.async_stream_infer("add", pair(A, B + number), request_id=str(number))
    client.async_stream_infer("absent", pair(A, B), request_id="wrong")
    client.async_stream_infer("add", pair(A, B), request_id="last", enable_empty_final_response=True)
    client.stop_stream()  # half-closes, and waits until everything is answered
    seen, failed = {}, []
    while not answers.empty():
        result, error = answers.get()
        if error is not None:
            failed.append(error)
            continue
        seen[result.get_response().id] = result
    assert len(seen) == 101 and len(failed) == 1, (sorted(seen), failed)
    assert "wrong" in failed[0].message() and "absent" in failed[0].message(), failed
    for number in range(100):
        result = seen[str(number)]
        assert np.array_equal(result.as_numpy("sum"), A + B + number)
        assert "triton_final_response" not in result.get_response().parameters
    assert seen["last"].get_response().parameters["triton_final_response"].bool_param


def stream_with_status(client):
    answers = queue.Queue()
    client.start_stream(
        lambda result, error: answers.put((result, error)), headers={"triton_grpc_error": "true"}
    )
    client.async_stream_infer("absent", pair(A, B), request_id="wrong")
    result, error = answers.get(timeout=30)
    assert result is None and "NOT_FOUND" in str(error.status()), (result, error)
    client.stop_stream()


def statistics(client):
    every = client.get_inference_statistics().model_stats
    assert [(m.name, m.version) for m in every] == [("add", "1"), ("identities", "1")], every
    add = client.get_inference_statistics("add", "1").model_stats[0]
    inference = add.inference_stats
    assert inference.success.count > 100 and inference.success.ns > 0, add
    assert inference.fail.count >= 2, add
    # Each request had two rows or more.
    assert add.inference_count >= 2 * inference.success.count, add
    assert 0 < add.execution_count <= inference.success.count + 2, add
    assert add.last_inference > 1_600_000_000_000, add
    assert inference.queue.count == inference.compute_infer.count == inference.success.count, add
    assert sum(b.compute_infer.count for b in add.batch_stats) == add.execution_count, add
    assert any(b.batch_size >= 1000 for b in add.batch_stats), add


def repository(client):
    assert states(client) == {("add", "1"): "READY", ("identities", "1"): "READY", ("later", "1"): ""}


def states(client):
    return {(m.name, m.version): m.state for m in client.get_model_repository_index().models}


def until_state(client, version, state):
    for _ in range(500):
        if states(client).get(version) == state:
            return
        time.sleep(0.02)
    raise AssertionError((version, state, states(client)))


def load_and_unload(client, graph):
    later = lambda: client.infer("later", pair(A, B)).as_numpy("sum")
    refused(later, "UNAVAILABLE", "later")
    client.load_model("later")
    assert client.is_model_ready("later") and np.array_equal(later(), A + B)

    config = json.dumps({"backend": "onnxruntime", "max_batch_size": 7, "dynamic_batching": {}})
    client.load_model("later", config=config)
    assert client.get_model_config("later").config.max_batch_size == 7
    assert np.array_equal(later(), A + B)

    client.load_model("later", config="{}", files={"file:5/model.onnx": graph})
    assert states(client)["later", "5"] == "READY"
    result = client.infer("later", pair(A, B))
    assert result.get_response().model_version == "5" and np.array_equal(result.as_numpy("sum"), A - B)

    broken = lambda: client.load_model("later", config="{}", files={"file:6/model.onnx": b"no model"})
    refused(broken, "FAILED_PRECONDITION", "not an ONNX file")
    refused(lambda: client.load_model("later", config="{"), "FAILED_PRECONDITION", "config")
    assert np.array_equal(later(), A - B)
    refused(lambda: client.load_model("absent"), "NOT_FOUND", "absent")

    client.load_model("later")
    assert np.array_equal(later(), A + B)
    client.unload_model("later")
    assert not client.is_model_ready("later")
    until_state(client, ("later", "1"), "UNAVAILABLE")
    reasons = {m.name: m.reason for m in client.get_model_repository_index().models}
    assert reasons["later"] == "unloaded", reasons
    refused(lambda: client.unload_model("absent"), "NOT_FOUND", "absent")


def not_offered(client):
    for call in (client.get_system_shared_memory_status, client.get_trace_settings, client.get_log_settings):
        refused(call, "UNIMPLEMENTED", "")


if __name__ == "__main__":
    main()
