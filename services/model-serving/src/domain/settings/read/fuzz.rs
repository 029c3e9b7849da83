//! Fuzz targets of the configuration files. What they hold: reading never panics, an error is short enough to be shown, and
//! settings that are accepted are within the limits that the rest of the service relies on.

use std::time::Duration;

use bolero::TypeGenerator;

use super::super::{MAX_INSTANCES, MAX_INTRA_THREADS, WarmUpData};
use super::*;

const LIMITS: ServiceLimits = ServiceLimits { queue_entries: 64, queue_bytes: 1 << 20, max_batch_rows: 8 };

/// Answers whether the files were accepted.
fn hold(texts: &ModelTexts<'_>, version_toml: Option<&str>) -> bool {
    // Read before the rest, of files that may be wrong elsewhere.
    drop(read_versions(texts));
    match read(texts, version_toml, &LIMITS) {
        Ok(settings) => {
            assert_within_limits(&settings);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn assert_within_limits(settings: &ModelSettings) {
    // The numbers of `check` once more, as the page for operators gives them.
    assert!((1..=MAX_INSTANCES).contains(&settings.instances));
    assert!(settings.intra_threads.is_none_or(|threads| (1..=MAX_INTRA_THREADS).contains(&threads)));
    let batching = &settings.batching;
    assert!((1..=4096).contains(&batching.max_rows));
    assert!((batching.max_rows..=16_777_216).contains(&batching.max_tokens));
    assert!(batching.max_request_rows.is_none_or(|rows| (1..=4096).contains(&rows)));
    assert!(batching.max_delay <= Duration::from_secs(10));
    let queue = &settings.queue;
    assert!((1..=1_000_000).contains(&queue.max_entries) && queue.max_bytes >= 1);
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(queue.max_age.is_none_or(|age| !age.is_zero() && age <= day));
    assert!(queue.priority_levels <= 64);
    assert!((1..=queue.priority_levels.max(1)).contains(&queue.default_priority));
    assert!(settings.warm_up.len() <= 64);
    for sample in &settings.warm_up {
        assert!((1..=4096).contains(&sample.rows) && (1..=1000).contains(&sample.count));
        let WarmUpData::Tensors(inputs) = &sample.data else { continue };
        for input in inputs {
            let row = crate::domain::shape::byte_count(&input.shape, input.datatype).unwrap();
            assert!(row * sample.rows <= 256 << 20);
        }
    }
    assert_file_name(&settings.model_file);
    if let Manifest::Embedding(text) = &settings.manifest {
        assert_file_name(&text.tokenizer);
        assert!((1..=32_768).contains(&text.max_input_tokens) && (1..=65_536).contains(&text.dimensions));
        assert!(text.max_input_tokens <= batching.max_tokens);
    }
    if settings.deterministic {
        assert_eq!((batching.max_rows, settings.intra_threads), (1, Some(1)));
    }
}

/// Nothing outside the version's folder.
fn assert_file_name(name: &str) {
    assert!(!name.is_empty() && !name.contains('/') && name != "." && name != "..", "{name}");
}

/// A change to a good file: some bytes out, a word or some bytes in.
#[derive(Debug, TypeGenerator)]
struct Change {
    at: u16,
    remove: u8,
    word: Option<u8>,
    bytes: Vec<u8>,
}

/// What a change puts in: values at and beyond the limits, and the marks of all three formats.
const WORDS: [&str; 40] = [
    "0",
    "1",
    "-1",
    "2",
    "64",
    "65",
    "256",
    "257",
    "4096",
    "4097",
    "1000000",
    "16777217",
    "32769",
    "65537",
    "9223372036854775807",
    "18446744073709551616",
    "1e308",
    "nan",
    "0x7f",
    "true",
    "false",
    "null",
    "\"10s\"",
    "\"25h\"",
    "\"0\"",
    "\"18446744073709551615h\"",
    "\"all\"",
    "\"../x\"",
    "\"\"",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "\"",
    "=",
    ":",
    ",",
    "#",
    "KIND_GPU",
];

/// Makes the changes; what is no UTF-8 afterwards becomes question marks, as no text that is read holds it.
fn changed(good: &str, changes: &[Change]) -> String {
    let mut bytes = good.as_bytes().to_vec();
    for change in changes.iter().take(8) {
        let start = usize::from(change.at) % (bytes.len() + 1);
        let end = (start + usize::from(change.remove) % 16).min(bytes.len());
        let put = match change.word {
            Some(word) => WORDS[usize::from(word) % WORDS.len()].as_bytes().to_vec(),
            None => change.bytes.iter().take(16).copied().collect(),
        };
        bytes.splice(start..end, put);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const MODEL_TOMLS: [&str; 2] = [
    r#"
kind = "embedding"
tokenizer = "tokenizer.json"
max_input_tokens = 256
dimensions = 4
output = "vector"
pooling = "mean"
normalize = true
padding_side = "left"
inputs = { ids = "ids", mask = "mask", type_ids = "types" }
instances = 2
batching = { max_rows = 16, max_tokens = 2048, max_delay = "2ms" }
queue = { max_entries = 7, max_age = "1min", priority_levels = 3, default_priority = 2 }
warm_up = [{ text = "a", rows = 4, count = 2 }]
"#,
    r#"
intra_threads = 4
pricing_unit = "tensor_byte"
swap = "unload_first"
model_file = "graph.onnx"
batching.max_rows = 16
batching.max_request_rows = 32
batching.padded_inputs = [{ name = "ids", value = 1 }, { name = "mask", side = "left", fill = "mask" }]
queue.max_bytes = 8
warm_up = [{ rows = 4, inputs = [{ name = "ids", datatype = "INT64", shape = [8], data = "random" }] }]
"#,
];

const CONFIG_PBTXT: &str = r#"
name: "m" platform: "onnxruntime_onnx" max_batch_size: 8
input [ { name: "a" data_type: TYPE_FP32 dims: [ -1, 2 ] } ]
output { name: "sum" data_type: TYPE_FP32 dims: 2 }
instance_group { count: 2 kind: KIND_CPU }
version_policy: { specific { versions: [1, 3] } }
dynamic_batching { preferred_batch_size: [4, 8] max_queue_delay_microseconds: 100 priority_levels: 2
  default_priority_level: 1 default_queue_policy { max_queue_size: 16 default_timeout_microseconds: 1000 } }
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
model_warmup { name: "w" batch_size: 2 count: 2 inputs { key: "a" value { data_type: TYPE_FP32 dims: [3, 2] zero_data: true } } }
"#;

const CONFIG_JSON: &str = r#"{
"name": "m", "backend": "onnxruntime", "maxBatchSize": 8,
"input": [{ "name": "a", "data_type": "TYPE_FP32", "dims": ["-1", 2] }], "output": [{ "name": "sum", "dataType": "TYPE_FP32", "dims": [2] }],
"instance_group": [{ "count": 2, "kind": "KIND_AUTO" }], "version_policy": { "latest": { "num_versions": 2 } },
"dynamic_batching": { "max_queue_delay_microseconds": "100", "default_queue_policy": { "max_queue_size": 16 } },
"parameters": { "intra_op_thread_count": { "string_value": "2" } },
"model_warmup": [{ "name": "w", "batch_size": 2, "inputs": { "a": { "data_type": "TYPE_FP32", "dims": [3, 2], "random_data": true } } }]
}"#;

const NO_FILES: ModelTexts<'_> =
    ModelTexts { model_name: "m", model_toml: None, config_pbtxt: None, config_json: None };

/// What is changed is accepted before: otherwise the targets would only ever see refusals.
#[test]
fn the_files_that_are_changed_are_good() {
    assert!(MODEL_TOMLS.iter().all(|toml| hold(&NO_FILES, Some(toml))));
    assert!(hold(&ModelTexts { config_pbtxt: Some(CONFIG_PBTXT), ..NO_FILES }, None));
    assert!(hold(&ModelTexts { config_json: Some(CONFIG_JSON), ..NO_FILES }, None));
}

/// Any text, in the place of each file.
#[test]
fn fuzz_configuration_texts() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let text = Some(text.as_ref());
        hold(&NO_FILES, text);
        hold(&ModelTexts { model_toml: text, ..NO_FILES }, None);
        hold(&ModelTexts { config_pbtxt: text, ..NO_FILES }, None);
        hold(&ModelTexts { config_json: text, ..NO_FILES }, None);
    });
}

#[test]
fn fuzz_model_toml() {
    bolero::check!().with_type::<(bool, Vec<Change>, Vec<Change>)>().for_each(|(kind, model, version)| {
        let good = MODEL_TOMLS[usize::from(*kind)];
        let (model, version) = (changed(good, model), changed(good, version));
        hold(&NO_FILES, Some(&version));
        hold(&ModelTexts { model_toml: Some(&model), ..NO_FILES }, Some(&version));
    });
}

/// Alone, and under a `model.toml` that is laid over it.
#[test]
fn fuzz_config_pbtxt() {
    bolero::check!().with_type::<(Vec<Change>, Vec<Change>)>().for_each(|(config, toml)| {
        let (config, toml) = (changed(CONFIG_PBTXT, config), changed(MODEL_TOMLS[1], toml));
        let texts = ModelTexts { config_pbtxt: Some(&config), ..NO_FILES };
        hold(&texts, None);
        hold(&texts, Some(&toml));
    });
}

#[test]
fn fuzz_config_json() {
    bolero::check!().with_type::<Vec<Change>>().for_each(|changes| {
        let config = changed(CONFIG_JSON, changes);
        // It takes the place of the file, whatever that says.
        hold(&ModelTexts { config_json: Some(&config), config_pbtxt: Some("nonsense"), ..NO_FILES }, None);
    });
}
