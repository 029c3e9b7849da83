use std::time::Duration;

use super::super::{PadFill, PadSide, PricingUnit, Swap, WarmUpData, WarmUpSource};
use super::*;
use crate::domain::signature::{Signature, TensorSpec};

const LIMITS: ServiceLimits = ServiceLimits { queue_entries: 64, queue_bytes: 1 << 20, max_batch_rows: 8 };

const EMBEDDING: &str = r#"
kind = "embedding"
tokenizer = "tokenizer.json"
max_input_tokens = 256
dimensions = 4
output = "vector"
inputs = { ids = "ids", mask = "mask" }
"#;

const FULL: &str = r#"
instances = 2
intra_threads = 4
pricing_unit = "tensor_byte"
refuse_non_finite = true
swap = "unload_first"
model_file = "graph.onnx"
[batching]
max_rows = 16
max_request_rows = 32
max_tokens = 1024
max_delay = "2ms"
[[batching.padded_inputs]]
name = "ids"
value = 1
[[batching.padded_inputs]]
name = "mask"
side = "left"
fill = "mask"
[queue]
max_entries = 7
max_bytes = 8
max_age = "1min"
priority_levels = 3
default_priority = 2
[[warm_up]]
rows = 4
count = 2
inputs = [{ name = "ids", datatype = "INT64", shape = [8], data = "random" }, { name = "mask", datatype = "INT64", shape = [8], file = "mask.bin" }]
"#;

fn version(text: &str) -> Result<ModelSettings, ManifestError> {
    read(&ModelTexts { model_name: "m", ..ModelTexts::default() }, Some(text), &LIMITS)
}

fn key_of<T: std::fmt::Debug>(result: Result<T, ManifestError>) -> (&'static str, String) {
    match result {
        Err(ManifestError::Key { file, key, .. }) => (file, key),
        other => panic!("expected an error about a key, got {other:?}"),
    }
}

#[test]
fn without_files_there_are_defaults() {
    let settings = read(&ModelTexts::default(), None, &LIMITS).unwrap();
    assert_eq!(settings, ModelSettings::defaults(&LIMITS));
    assert!(!settings.batching.is_on());
    assert_eq!(settings.queue.max_entries, 64);
    assert_eq!(settings.pricing_unit, PricingUnit::Call);
}

#[test]
fn a_text_model_batches_and_counts_tokens_by_itself() {
    let settings = version(EMBEDDING).unwrap();
    assert_eq!((settings.batching.max_rows, settings.pricing_unit), (8, PricingUnit::InputToken));
    assert!(settings.batching.max_tokens >= 256);
}

#[test]
fn every_key_is_read() {
    let settings = version(FULL).unwrap();
    assert_eq!((settings.instances, settings.intra_threads), (2, Some(4)));
    assert_eq!((settings.pricing_unit, settings.swap), (PricingUnit::TensorByte, Swap::UnloadFirst));
    assert!(settings.refuse_non_finite);
    assert_eq!(settings.model_file, "graph.onnx");
    let batching = &settings.batching;
    assert_eq!((batching.max_rows, batching.max_request_rows, batching.max_tokens), (16, Some(32), 1024));
    assert_eq!(batching.max_delay, Duration::from_millis(2));
    assert_eq!(batching.padded_inputs[0].fill, PadFill::Value(1.0));
    assert_eq!(
        (batching.padded_inputs[1].side, batching.padded_inputs[1].fill),
        (PadSide::Left, PadFill::Mask)
    );
    let queue = &settings.queue;
    assert_eq!((queue.max_entries, queue.max_bytes, queue.max_age), (7, 8, Some(Duration::from_secs(60))));
    assert_eq!((queue.priority_levels, queue.default_priority), (3, 2));
    assert_eq!((settings.warm_up[0].rows, settings.warm_up[0].count), (4, 2));
    let WarmUpData::Tensors(inputs) = &settings.warm_up[0].data else { panic!("not tensors") };
    assert_eq!(inputs[0].source, WarmUpSource::Random);
    assert_eq!(inputs[1].source, WarmUpSource::File("mask.bin".to_owned()));
}

#[test]
fn an_error_names_the_key() {
    let tensor = [
        ("instances = 0", "instances"),
        ("instances = -1", "instances"),
        ("instances = 65", "instances"),
        ("intra_threads = 0", "intra_threads"),
        ("instance = 1", "instance"),
        ("pricing_unit = \"token\"", "pricing_unit"),
        ("pricing_unit = \"input_token\"", "pricing_unit"),
        ("swap = \"now\"", "swap"),
        ("refuse_non_finite = 1", "refuse_non_finite"),
        ("model_file = \"../m.onnx\"", "model_file"),
        ("batching.max_rows = 0", "batching.max_rows"),
        ("batching.max_rows = 4097", "batching.max_rows"),
        ("batching.max_row = 2", "batching.max_row"),
        ("batching.max_request_rows = 0", "batching.max_request_rows"),
        ("batching.max_tokens = 0", "batching.max_tokens"),
        ("batching = { max_rows = 9, max_tokens = 8 }", "batching.max_tokens"),
        ("batching.max_delay = \"2\"", "batching.max_delay"),
        ("batching.max_delay = 2", "batching.max_delay"),
        ("batching.max_delay = \"11s\"", "batching.max_delay"),
        ("batching = { literal_shapes = true, max_rows = 2 }", "batching.max_rows"),
        ("batching.padded_inputs = [{ name = \"x\", value = 0 }]", "batching.padded_inputs"),
        (
            "batching = { max_rows = 2, padded_inputs = [{ name = \"x\" }] }",
            "batching.padded_inputs[0].value",
        ),
        ("queue.max_entries = 0", "queue.max_entries"),
        ("queue.max_bytes = 0", "queue.max_bytes"),
        ("queue.max_age = \"0\"", "queue.max_age"),
        ("queue.max_age = \"2 ms\"", "queue.max_age"),
        ("queue.max_age = \"99999999999999999999s\"", "queue.max_age"),
        ("queue.max_age = \"1441min\"", "queue.max_age"),
        ("queue.priority_levels = 2", "queue.default_priority"),
        ("queue = { priority_levels = 65, default_priority = 1 }", "queue.priority_levels"),
        ("queue = { priority_levels = 2, default_priority = 3 }", "queue.default_priority"),
        ("queue.default_priority = 0", "queue.default_priority"),
        ("deterministic = true\nbatching.max_rows = 2", "batching.max_rows"),
        ("deterministic = true\nintra_threads = 2", "intra_threads"),
        ("warm_up = [{}]", "warm_up[0]"),
        ("warm_up = [{ text = \"x\" }]", "warm_up[0].text"),
        ("warm_up = [{ rows = 0, inputs = [] }]", "warm_up[0].rows"),
        ("warm_up = [{ count = 0, inputs = [] }]", "warm_up[0].count"),
        ("warm_up = [{ name = \"a\", inputs = [] }, { name = \"a\", inputs = [] }]", "warm_up[1].name"),
        ("dimensions = 3", "dimensions"),
        ("kind = \"embedding\"", "inputs"),
    ];
    for (text, key) in tensor {
        assert_eq!(key_of(version(text)).1, key, "{text}");
    }
    let input = |rest: &str| {
        version(&format!("warm_up = [{{ inputs = [{{ name = \"x\", datatype = \"FP32\", {rest} }}] }}]"))
    };
    assert_eq!(key_of(input("shape = [-1], data = \"zero\"")).1, "warm_up[0].inputs[0].shape");
    assert_eq!(key_of(input("shape = [999999999999], data = \"zero\"")).1, "warm_up[0].inputs[0].shape");
    assert_eq!(key_of(input("shape = [1]")).1, "warm_up[0].inputs[0]");
    assert_eq!(key_of(input("shape = [1], file = \"/etc/passwd\"")).1, "warm_up[0].inputs[0].file");

    let text = |rest: &str| version(&format!("{rest}\n{EMBEDDING}"));
    assert_eq!(key_of(text("batching.max_tokens = 255")).1, "batching.max_tokens");
    assert_eq!(
        key_of(text("batching.padded_inputs = [{ name = \"ids\", value = 0 }]")).1,
        "batching.padded_inputs"
    );
}

#[test]
fn deterministic_is_one_line() {
    let settings = version(&format!("deterministic = true\n{EMBEDDING}")).unwrap();
    assert_eq!((settings.batching.max_rows, settings.intra_threads), (1, Some(1)));
}

#[test]
fn the_closer_file_wins_key_by_key_and_is_blamed() {
    let texts = ModelTexts {
        model_name: "m",
        model_toml: Some("instances = 2\nversions = { latest = 3 }\n[queue]\nmax_entries = 5\nmax_bytes = 6"),
        config_pbtxt: Some("max_batch_size: 8 dynamic_batching { } instance_group { count: 9 }"),
        config_json: None,
    };
    let settings = read(&texts, Some("[queue]\nmax_entries = 7"), &LIMITS).unwrap();
    assert_eq!((settings.queue.max_entries, settings.queue.max_bytes), (7, 6));
    assert_eq!((settings.instances, settings.batching.max_rows), (2, 8));
    assert_eq!(settings.versions, VersionPolicy::Latest(3));
    assert_eq!(read_versions(&texts), Ok(VersionPolicy::Latest(3)));

    let wrong = |version| key_of(read(&texts, Some(version), &LIMITS));
    assert_eq!(wrong("queue.max_bytes = 0"), (VERSION_TOML, "queue.max_bytes".to_owned()));
    assert_eq!(wrong("versions = \"all\""), (VERSION_TOML, "versions".to_owned()));
    let wrong = ModelTexts { model_toml: Some("instances = 0"), ..texts };
    assert_eq!(
        key_of(read(&wrong, Some("intra_threads = 1"), &LIMITS)),
        (MODEL_TOML, "instances".to_owned())
    );
    let wrong = ModelTexts { config_pbtxt: Some("name: \"other\""), ..texts };
    assert_eq!(key_of(read(&wrong, None, &LIMITS)), (CONFIG_PBTXT, "name".to_owned()));
    let wrong = ModelTexts { config_json: Some("{\"max_batch_size\": -1}"), ..texts };
    assert_eq!(key_of(read(&wrong, None, &LIMITS)), (CONFIG_JSON, "max_batch_size".to_owned()));
}

#[test]
fn a_text_model_may_be_described_for_all_its_versions() {
    let texts = ModelTexts { model_name: "m", model_toml: Some(EMBEDDING), ..ModelTexts::default() };
    let settings = read(&texts, Some("dimensions = 5"), &LIMITS).unwrap();
    let Manifest::Embedding(manifest) = settings.manifest else { panic!("not an embedding") };
    assert_eq!((manifest.dimensions, manifest.max_input_tokens), (5, 256));
}

#[test]
fn versions_are_read() {
    let of = |text: &str| read_versions(&ModelTexts { model_toml: Some(text), ..ModelTexts::default() });
    let all: Vec<_> = ["1", "2", "10"].iter().map(|v| v.parse().unwrap()).collect();
    let selected =
        |text: &str| of(text).unwrap().select(&all).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(selected(""), ["10"]);
    assert_eq!(selected("versions = \"all\""), ["1", "2", "10"]);
    assert_eq!(selected("versions = { latest = 2 }"), ["2", "10"]);
    assert_eq!(selected("versions = [10, 1, 7]"), ["1", "10"]);
    for bad in
        ["\"some\"", "1", "[]", "[0]", "[1, 1]", "[\"1\"]", "{ latest = 0 }", "{ latest = 1, all = 1 }", "{}"]
    {
        assert_eq!(key_of(of(&format!("versions = {bad}"))), (MODEL_TOML, "versions".to_owned()), "{bad}");
    }
}

fn spec(name: &str, datatype: &str, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype: datatype.parse().unwrap(), shape: shape.to_vec() }
}

#[test]
fn settings_are_held_against_the_graph() {
    let graph = Signature {
        inputs: vec![spec("ids", "INT64", &[-1, -1]), spec("mask", "INT64", &[-1, -1])],
        outputs: vec![spec("out", "FP32", &[-1, 4])],
    };
    assert_eq!(version(FULL).unwrap().check_signature(&graph), Ok(()));
    let wrong =
        |from: &str, to: &str| key_of(version(&FULL.replace(from, to)).unwrap().check_signature(&graph)).1;
    assert_eq!(wrong("name = \"mask\"\nside", "name = \"msk\"\nside"), "batching.padded_inputs[1].name");
    assert_eq!(wrong("value = 1", "value = 1.5"), "batching.padded_inputs[0].value");
    assert_eq!(wrong("name = \"ids\", datatype", "name = \"id\", datatype"), "warm_up[0].inputs");
    assert_eq!(wrong("\"ids\", datatype = \"INT64\"", "\"ids\", datatype = \"INT32\""), "warm_up[0].inputs");
    assert_eq!(
        wrong("{ name = \"ids\", datatype = \"INT64\", shape = [8], data = \"random\" },", ""),
        "warm_up[0].inputs"
    );

    let fixed = Signature { inputs: vec![spec("x", "FP32", &[3, 4])], outputs: Vec::new() };
    let batched = version("batching.max_rows = 2").unwrap();
    assert_eq!(key_of(batched.check_signature(&fixed)).1, "batching.max_rows");
    assert_eq!(ModelSettings::defaults(&LIMITS).check_signature(&fixed), Ok(()));
}

/// Each fenced block of the reference page, by its language.
fn documented(language: &str) -> Vec<String> {
    let page =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/model-configuration.md"));
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)).map(str::to_owned).collect()
}

#[test]
fn the_examples_of_the_reference_page_are_good() {
    let (toml, protobuf) = (documented("toml"), documented("protobuf"));
    let [text_model, beside_triton] = toml.as_slice() else { panic!("{toml:?}") };
    version(text_model).unwrap();
    let texts = ModelTexts {
        model_name: "resnet",
        model_toml: Some(beside_triton),
        config_pbtxt: Some(&protobuf[0]),
        config_json: None,
    };
    let settings = read(&texts, None, &LIMITS).unwrap();
    assert_eq!((settings.batching.max_rows, settings.batching.max_delay), (8, Duration::ZERO));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        text in "\\PC{0,80}",
        from in proptest::prelude::any::<proptest::sample::Index>(),
        to in proptest::prelude::any::<proptest::sample::Index>(),
    ) {
        drop(version(&text));
        let chars: Vec<char> = FULL.chars().collect();
        let head = chars.iter().take(from.index(chars.len()));
        let mutated: String = head.copied().chain(text.chars()).chain(chars.iter().skip(to.index(chars.len())).copied()).collect();
        if let Ok(settings) = version(&mutated) {
            // What is accepted is within every limit.
            proptest::prop_assert_eq!(settings.check(), Ok(()));
        }
    }
}
