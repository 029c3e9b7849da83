use proptest::prelude::*;

use super::super::{ServiceLimits, WarmUpData, WarmUpSource};
use super::*;
use crate::domain::signature::Signature;

const FULL: &str = r#"
# A comment.
name: "resnet"
backend: 'onnxruntime'
max_batch_size: 8
input [
  { name: "image" data_type: TYPE_FP32 dims: [ 3, 224, -1 ] }
]
output: { name: "prob", data_type: TYPE_FP32; dims: 1000 label_filename: "labels.txt" }
instance_group [ { count: 2 kind: KIND_CPU }, { } ]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 100
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy < timeout_action: REJECT default_timeout_microseconds: 5000 max_queue_size: 32 >
}
version_policy: { specific: { versions: [1, 3] } }
model_warmup { name: "zeros" batch_size: 8 count: 3
  inputs { key: "image" value: { data_type: TYPE_FP32 dims: [3, 224, 224] zero_data: true } } }
parameters { key: "intra_op_thread_count" value: { string_value: "4" } }
parameters [ { key: "other" value: { string_value: "a" "b\x41\101" } } ]
default_model_filename: "resnet.onnx"
optimization { input_pinned_memory { enable: true } }
"#;

const FULL_JSON: &str = r#"{
"name": "resnet", "backend": "onnxruntime", "maxBatchSize": 8,
"input": [{"name": "image", "dataType": "TYPE_FP32", "dims": ["3", 224, "-1"]}],
"output": [{"name": "prob", "data_type": "TYPE_FP32", "dims": ["1000"], "label_filename": "labels.txt"}],
"instance_group": [{"count": 2, "kind": "KIND_CPU"}, {}],
"dynamic_batching": {"preferredBatchSize": [4, 8], "max_queue_delay_microseconds": "100", "priority_levels": "2",
  "default_priority_level": "2", "preserve_ordering": false,
  "default_queue_policy": {"timeout_action": 0, "default_timeout_microseconds": "5000", "max_queue_size": 32}},
"version_policy": {"specific": {"versions": ["1", "3"]}},
"model_warmup": [{"name": "zeros", "batch_size": 8, "count": 3,
  "inputs": {"image": {"data_type": "TYPE_FP32", "dims": ["3", "224", "224"], "zero_data": true}}}],
"parameters": {"intra_op_thread_count": {"string_value": "4"}, "other": {"string_value": "abAA"}},
"default_model_filename": "resnet.onnx", "platform": null
}"#;

const LIMITS: ServiceLimits = ServiceLimits { queue_entries: 64, queue_bytes: 1 << 20, max_batch_rows: 8 };

fn settings(text: &str) -> ModelSettings {
    let mut settings = ModelSettings::defaults(&LIMITS);
    TritonConfig::parse_text(text).unwrap().apply(&mut settings);
    settings
}

fn error_of(text: &str) -> (String, String) {
    match TritonConfig::parse_text(text) {
        Err(ManifestError::Key { key, message, .. }) => (key, message),
        other => panic!("expected an error about a key, got {other:?} for {text}"),
    }
}

#[test]
fn both_forms_say_the_same() {
    let text = TritonConfig::parse_text(FULL).unwrap();
    assert_eq!(text, TritonConfig::parse_json(FULL_JSON).unwrap());
    let settings = settings(FULL);
    assert_eq!((settings.instances, settings.intra_threads), (3, Some(4)));
    assert_eq!((settings.batching.max_rows, settings.batching.max_request_rows), (8, Some(8)));
    assert_eq!(settings.batching.max_delay, Duration::from_micros(100));
    assert_eq!((settings.queue.max_entries, settings.queue.max_age), (32, Some(Duration::from_millis(5))));
    assert_eq!((settings.queue.priority_levels, settings.queue.default_priority), (2, 2));
    assert_eq!(settings.versions.to_owned(), VersionPolicy::listed(&[1, 3]).unwrap());
    assert_eq!(settings.model_file, "resnet.onnx");
    assert_eq!(settings.declared_inputs[0].shape, [-1, 3, 224, -1]);
    assert_eq!(settings.parameters.get("other").map(String::as_str), Some("abAA"));
    assert_eq!((settings.warm_up[0].rows, settings.warm_up[0].count), (8, 3));
    let WarmUpData::Tensors(inputs) = &settings.warm_up[0].data else { panic!("not tensors") };
    assert_eq!(inputs[0].source, WarmUpSource::Zero);
}

#[test]
fn batch_size_and_batching_mean_what_they_mean_in_triton() {
    let literal = settings("");
    assert!(literal.batching.literal_shapes && !literal.batching.is_on());
    let alone = settings("max_batch_size: 8");
    assert_eq!((alone.batching.max_rows, alone.batching.max_request_rows), (1, Some(8)));
    assert!(settings("max_batch_size: 8 dynamic_batching { }").batching.is_on());
    assert_eq!(settings("dynamic_batching { }").batching.max_rows, 1);
}

#[test]
fn an_error_names_field_and_line() {
    let cases = [
        ("\n\nfoo: 1", "foo", "line 3: unknown field"),
        ("ensemble_scheduling { step [] }", "ensemble_scheduling", "ensembles"),
        ("sequence_batching { }", "sequence_batching", "state"),
        ("model_operations { op_library_filename: \"x.so\" }", "model_operations", "operator libraries"),
        ("platform: \"tensorrt_plan\"", "platform", "only \"onnxruntime_onnx\""),
        ("backend: \"python\"", "backend", "only \"onnxruntime\""),
        ("backend: onnxruntime", "backend", "must be a string"),
        ("max_batch_size: -1", "max_batch_size", "0..="),
        ("max_batch_size: 1\nmax_batch_size: 2", "max_batch_size", "line 2: is said twice"),
        ("instance_group {\n kind: KIND_GPU }", "instance_group[0].kind", "line 2: KIND_GPU is not offered"),
        ("instance_group { kind: KIND_MODEL }", "instance_group[0].kind", "KIND_AUTO or KIND_CPU"),
        ("instance_group { gpus: [0] }", "instance_group[0].gpus", "number"),
        ("instance_group { count: 65 }", "instance_group[0].count", "0..=64"),
        ("instance_group [{ count: 64 }, { count: 1 }]", "instance_group[1].count", "together"),
        ("input { data_type: TYPE_FP32 }", "input[0].name", "missing"),
        ("input { name: \"x\" }", "input[0].data_type", "missing"),
        ("input { name: \"x\" data_type: TYPE_FP31 }", "input[0].data_type", "TYPE_FP31"),
        ("input { name: \"x\" data_type: TYPE_FP32 dims: 0 }", "input[0].dims", "from 1"),
        ("input { name: \"x\" reshape { shape: 1 } }", "input[0].reshape", "graph's own"),
        ("input { name: \"x\" optional: true }", "input[0].optional", "required"),
        ("input { name: \"x\" allow_ragged_batch: true }", "input[0].allow_ragged_batch", "padded"),
        ("input { name: \"x\" format: FORMAT_NCHW }", "input[0].format", "layouts"),
        ("output { name: \"x\" reshape { } }", "output[0].reshape", "graph's own"),
        (
            "input { name: \"x\" data_type: TYPE_INT8 } input { name: \"x\" data_type: TYPE_INT8 }",
            "input[1].name",
            "twice",
        ),
        ("dynamic_batching { preserve_ordering: true }", "dynamic_batching.preserve_ordering", "ready"),
        (
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: 5 }",
            "dynamic_batching.preferred_batch_size",
            "4",
        ),
        ("dynamic_batching { priority_levels: 2 }", "dynamic_batching.default_priority_level", "1..="),
        (
            "dynamic_batching { priority_queue_policy { key: 1 } }",
            "dynamic_batching.priority_queue_policy",
            "share",
        ),
        (
            "dynamic_batching { default_queue_policy { timeout_action: DELAY } }",
            "dynamic_batching.default_queue_policy.timeout_action",
            "REJECT",
        ),
        ("version_policy { latest { num_versions: 0 } }", "version_policy.latest.num_versions", "1..="),
        ("version_policy { latest { } all { } }", "version_policy", "one of"),
        ("version_policy { specific { versions: [0] } }", "version_policy.specific.versions", "from 1"),
        ("model_warmup { batch_size: 1 }", "model_warmup[0].batch_size", "0..=0"),
        (
            "model_warmup { inputs { key: \"x\" value { } } }",
            "model_warmup[0].inputs.x.zero_data",
            "exactly one",
        ),
        (
            "parameters { key: \"intra_op_thread_count\" value { string_value: \"x\" } }",
            "parameters.intra_op_thread_count",
            "number",
        ),
        ("parameters { value { } }", "parameters[0].key", "missing"),
        ("optimization { graph { level: 1 } }", "optimization.graph", "not configured"),
        ("response_cache { enable: true }", "response_cache.enable", "cached"),
        ("model_transaction_policy { decoupled: true }", "model_transaction_policy.decoupled", "one reply"),
        ("default_model_filename: \"../x.onnx\"", "default_model_filename", "name of a file"),
    ];
    for (text, key, message) in cases {
        let (actual_key, actual) = error_of(text);
        assert_eq!(actual_key, key, "{text}");
        assert!(actual.contains(message), "{text}: {actual}");
    }
}

#[test]
fn a_syntax_error_names_the_line() {
    let cases = [
        ("\nname \"x\"", 2),
        ("name: \"x\n\"", 1),
        ("input {\n\n", 3),
        ("}", 1),
        ("a: [1 2]", 1),
        ("a: \"\\q\"", 1),
        ("a: \"\\xff\"", 1),
        ("[ext.field]: 1", 1),
        ("\n\na: \u{e9}", 3),
        ("a:", 1),
    ];
    for (text, expected) in cases {
        match TritonConfig::parse_text(text) {
            Err(ManifestError::Syntax { line, .. }) => assert_eq!(line, expected, "{text}"),
            other => panic!("expected a syntax error, got {other:?} for {text}"),
        }
    }
    assert!(TritonConfig::parse_text(&"a {".repeat(100_000)).is_err());
    assert!(TritonConfig::parse_json(&"{\"a\":".repeat(100_000)).is_err());
}

#[test]
fn declarations_are_held_against_the_graph() {
    let spec = |name: &str, shape: &[i64]| TensorSpec {
        name: name.to_owned(),
        datatype: "FP32".parse().unwrap(),
        shape: shape.to_vec(),
    };
    let graph = Signature {
        inputs: vec![spec("image", &[-1, 3, -1, -1])],
        outputs: vec![spec("prob", &[-1, 1000]), spec("extra", &[-1, 2])],
    };
    let good = settings(FULL);
    assert_eq!(good.check_signature(&graph), Ok(()));
    let served = good.served_signature(&graph);
    assert_eq!(served.inputs, [spec("image", &[-1, 3, 224, -1])]);
    assert_eq!(served.outputs, [spec("prob", &[-1, 1000])]);

    let wrong = |from: &str, to: &str| match settings(&FULL.replace(from, to)).check_signature(&graph) {
        Err(ManifestError::Key { key, message, .. }) => format!("{key}: {message}"),
        other => panic!("expected an error about a key, got {other:?}"),
    };
    assert!(
        wrong("name: \"image\"", "name: \"img\"").starts_with("input[0].name: the graph has no input 'img'")
    );
    assert!(wrong("TYPE_FP32 dims: [ 3", "TYPE_INT8 dims: [ 3").starts_with("input[0].data_type: 'image'"));
    assert!(wrong("[ 3, 224, -1 ]", "[ 4, 224, -1 ]").starts_with("input[0].dims: 'image'"));
    assert!(wrong("dims: 1000", "dims: 10").starts_with("output[0].dims: 'prob'"));
    let two = Signature { inputs: vec![spec("image", &[-1, 3, -1, -1]), spec("more", &[-1])], ..graph };
    let error = good.check_signature(&two).unwrap_err().to_string();
    assert!(error.contains("key 'input'") && error.contains("'more'"), "{error}");
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,200}", cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        drop(TritonConfig::parse_text(&text));
        drop(TritonConfig::parse_json(&text));
        // A good file with a piece replaced reaches deeper than noise does.
        for (good, parse) in [(FULL, TritonConfig::parse_text as fn(&str) -> _), (FULL_JSON, TritonConfig::parse_json)] {
            let chars: Vec<char> = good.chars().collect();
            let (from, to) = (cut.index(chars.len()), at.index(chars.len()));
            let mutated: String = chars.iter().take(from).chain(text.chars().collect::<Vec<_>>().iter()).chain(chars.iter().skip(to)).collect();
            let parsed: Result<TritonConfig, ManifestError> = parse(&mutated);
            drop(parsed);
        }
    }

    #[test]
    fn strings_are_read_as_they_were_written(text in "\\PC{0,40}") {
        let escaped: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
        let config = TritonConfig::parse_text(&format!("name: \"{escaped}\"")).unwrap();
        prop_assert_eq!(config.name, text);
    }

    #[test]
    fn numbers_are_read_in_every_base(number in 0_usize..=4096) {
        for text in [format!("{number}"), format!("0x{number:x}"), format!("0{number:o}")] {
            let config = TritonConfig::parse_text(&format!("max_batch_size: {text}")).unwrap();
            prop_assert_eq!(config.max_batch_size, number);
        }
    }
}
