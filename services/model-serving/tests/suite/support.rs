//! A running service, its clients, and where the artefacts are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ailayer_model_serving::{Config, RunError, Service, Switch};
use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_platform::tasks::Shutdown;
use ailayer_proto::ailayer::serving::v1::serving_service_client::ServingServiceClient;
use ailayer_proto::ailayer::serving::v1::{EmbedRequest, EmbedResponse, Truncation};
use ailayer_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use ailayer_proto::inference::model_infer_request::InferInputTensor;
use ailayer_proto::inference::{
    InferTensorContents, ModelInferRequest, ModelReadyRequest, ServerReadyRequest,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// A service in this process.
pub struct Running {
    pub serving: ServingServiceClient<Channel>,
    pub inference: GrpcInferenceServiceClient<Channel>,
    pub channel: Channel,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
    pub shutdown: Shutdown,
    pub service: JoinHandle<Result<(), RunError>>,
}

impl Running {
    pub async fn start(config: Config) -> Self {
        let service = Service::bind(config).await.unwrap();
        let (grpc, admin) = (service.grpc_address(), service.admin_address());
        let address = format!("http://{grpc}");
        let shutdown = Shutdown::new();
        #[expect(clippy::disallowed_methods, reason = "owned by the handle, joined in `stop`")]
        let service = tokio::spawn(service.serve(shutdown.clone()));
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        Self {
            serving: ServingServiceClient::new(channel.clone()),
            inference: GrpcInferenceServiceClient::new(channel.clone()),
            channel,
            grpc,
            admin,
            shutdown,
            service,
        }
    }

    /// Starts with the tiny graphs named, each as version 1, and waits until all are ready.
    pub async fn with_tiny(models: &[&str]) -> (Self, Repository) {
        let repository = Repository::new();
        for model in models {
            repository.add(model, model, "1");
        }
        let mut running = Self::start(repository.config()).await;
        running.until_ready().await;
        (running, repository)
    }

    pub async fn until_ready(&mut self) {
        for _ in 0..600 {
            if self.inference.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the service did not become ready");
    }

    pub async fn model_ready(&mut self, name: &str, version: &str) -> bool {
        let request = ModelReadyRequest { name: name.to_owned(), version: version.to_owned() };
        self.inference.model_ready(request).await.unwrap().into_inner().ready
    }

    pub async fn embed(&mut self, model: &str, texts: &[&str]) -> Result<EmbedResponse, Status> {
        self.embed_with(model, texts, Truncation::Unspecified).await
    }

    pub async fn embed_with(
        &mut self,
        model: &str,
        texts: &[&str],
        truncation: Truncation,
    ) -> Result<EmbedResponse, Status> {
        let request = EmbedRequest {
            model_name: model.to_owned(),
            model_version: String::new(),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            truncation: truncation.into(),
            ..Default::default()
        };
        self.serving.embed(request).await.map(tonic::Response::into_inner)
    }

    /// A page of the admin port.
    pub async fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub async fn stop(self) {
        self.shutdown.trigger();
        self.service.await.unwrap().unwrap();
    }
}

/// A model repository in a temporary folder.
pub struct Repository(TempDir);

impl Repository {
    pub fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(repository.root()).unwrap();
        repository
    }

    /// Without trials: what a process of its own adds is tested by the tests that ask for it.
    pub fn config(&self) -> Config {
        let mut config = Config::new(self.root());
        config.onnxruntime_library = Some(setup("ORT_DYLIB_PATH"));
        config.trial = Switch::Off;
        config.cache_dir = Some(self.cache());
        config
    }

    /// Where the models' folders are.
    pub fn root(&self) -> PathBuf {
        self.0.path().join("models")
    }

    /// Where the service keeps its copies.
    pub fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    /// Copies a tiny graph in; those named `embed*` with manifest and tokenizer.
    pub fn add(&self, graph: &str, name: &str, version: &str) -> PathBuf {
        let folder = self.root().join(name).join(version);
        std::fs::create_dir_all(&folder).unwrap();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        std::fs::copy(data.join(format!("{graph}.onnx")), folder.join("model.onnx")).unwrap();
        if graph.starts_with("embed") {
            std::fs::copy(data.join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
            std::fs::write(folder.join("model.toml"), TINY_MANIFEST).unwrap();
        }
        folder
    }
}

pub const TINY_MANIFEST: &str = r#"
kind = "embedding"
tokenizer = "tokenizer.json"
max_input_tokens = 6
dimensions = 2
output = "embedding"
[inputs]
ids = "ids"
mask = "mask"
"#;

/// A path that `make setup` made; the environment wins over the file it wrote.
pub fn setup(key: &str) -> PathBuf {
    let path = std::env::var(key).ok().or_else(|| {
        let cache = std::env::var_os("AILAYER_CACHE").map(PathBuf::from).unwrap_or_else(|| {
            let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
            std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("ailayer")
        });
        let file = std::fs::read_to_string(cache.join("env")).ok()?;
        file.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).map(str::to_owned)
    });
    let path = PathBuf::from(path.unwrap_or_else(|| panic!("{key} is not known: run `make setup` first")));
    assert!(path.exists(), "{key} names {}, which is not there: run `make setup` first", path.display());
    path
}

/// Asserts the code and the reason of a refused call; answers its message.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: ErrorReason) -> String {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason_of(&status)), (code, Some(reason)), "{status:?}");
    status.message().to_owned()
}

/// An input of a data type with its values.
pub fn input(name: &str, datatype: &str, shape: &[i64], contents: InferTensorContents) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        contents: Some(contents),
        ..Default::default()
    }
}

/// FP32 values.
pub fn floats(values: &[f32]) -> InferTensorContents {
    InferTensorContents { fp32_contents: values.to_vec(), ..Default::default() }
}

/// INT64 values.
pub fn longs(values: &[i64]) -> InferTensorContents {
    InferTensorContents { int64_contents: values.to_vec(), ..Default::default() }
}

/// A request to a model.
pub fn infer(model: &str, inputs: Vec<InferInputTensor>) -> ModelInferRequest {
    ModelInferRequest { model_name: model.to_owned(), inputs, ..Default::default() }
}
