//! Models are run as their files say.

use std::time::Duration;

use ailayer_proto::inference::{InferTensorContents, ModelMetadataRequest};

use crate::support::{Repository, Running, infer, input};

const CONFIG: &str = r#"
name: "triton"
platform: "onnxruntime_onnx"
max_batch_size: 2
input [ { name: "a" data_type: TYPE_FP32 dims: 2 }, { name: "b" data_type: TYPE_FP32 dims: 2 } ]
output { name: "sum" data_type: TYPE_FP32 dims: 2 }
instance_group { count: 2 }
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
model_warmup { name: "mixed" batch_size: 2 count: 2
  inputs { key: "a" value { data_type: TYPE_FP32 dims: 2 random_data: true } }
  inputs { key: "b" value { data_type: TYPE_FP32 dims: 2 input_data_file: "b.bin" } } }
"#;

fn floats(values: &[f32]) -> InferTensorContents {
    InferTensorContents { fp32_contents: values.to_vec(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_triton_folder_is_served_as_it_is() {
    let repository = Repository::new();
    let root = repository.config().repository;
    for name in ["triton", "wrong-file", "wrong-graph", "wrong-version"] {
        repository.add("add", name, "1");
        let config = CONFIG.replace("name: \"triton\"\n", "");
        std::fs::write(root.join(name).join("config.pbtxt"), config).unwrap();
        std::fs::create_dir(root.join(name).join("warmup")).unwrap();
        std::fs::write(root.join(name).join("warmup/b.bin"), [0; 8]).unwrap();
    }
    std::fs::write(root.join("triton/config.pbtxt"), CONFIG).unwrap();
    std::fs::write(root.join("wrong-file/warmup/b.bin"), [0; 7]).unwrap();
    let wider = CONFIG.replace("\"triton\"", "\"wrong-graph\"").replace("{ name: \"b\"", "{ name: \"c\"");
    std::fs::write(root.join("wrong-graph/config.pbtxt"), wider).unwrap();
    std::fs::write(root.join("wrong-version/1/model.toml"), "queue.max_bytes = 0").unwrap();

    let mut service = Running::start(repository.config()).await;
    let mut page = String::new();
    for _ in 0..200 {
        page = service.page("/readyz").await;
        if service.model_ready("triton", "").await && page.contains("model/wrong-version/1: version") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (name, reason) in [
        ("wrong-file", "'mixed'"),
        ("wrong-graph", "key 'input[1].name': the graph has no input 'c'"),
        ("wrong-version", "version's model.toml: key 'queue.max_bytes': must be from 1"),
    ] {
        let line = page.lines().find(|line| line.starts_with(&format!("model/{name}/1: ")));
        assert!(line.is_some_and(|line| line.contains(reason)), "{name}: {line:?} in {page}");
    }

    let request = ModelMetadataRequest { name: "triton".to_owned(), version: String::new() };
    let metadata = service.inference.model_metadata(request).await.unwrap().into_inner();
    assert_eq!(metadata.outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), ["sum"]);

    let rows = |rows: i64| {
        let values: Vec<f32> = (0..rows * 2).map(|_| 1.0).collect();
        let tensor = |name: &str| input(name, "FP32", &[rows, 2], floats(&values));
        infer("triton", vec![tensor("a"), tensor("b")])
    };
    service.inference.model_infer(rows(2)).await.unwrap();
    assert!(service.inference.model_infer(rows(3)).await.is_err(), "max_batch_size is 2");
    service.stop().await;
}
