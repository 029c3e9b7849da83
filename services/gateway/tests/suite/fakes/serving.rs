//! A model that embeds a text as its length and its first byte, and one that gives tensors back in reverse.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ailayer_client::serving::{EmbedCall, Embedded, Embedding, InferCall, Inferred, Model, Tokenized};
use ailayer_client::{CallError, ErrorReason};
use ailayer_gateway::ports::Serving;
use ailayer_primitives::Digest;
use ailayer_receipt::tensor::{Tensor, TensorSpec, Tensors};
use async_trait::async_trait;
use uuid::Uuid;

use super::refusal;

/// What the next calls of `embed` do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Works,
    Fails(ErrorReason),
    /// Fails so often, then works.
    FailsTimes(u32, ErrorReason),
    Hangs,
    /// Takes so long, then works.
    Slow(Duration),
    OtherModel,
    OtherTokens,
    /// So many more than there are.
    MoreTokens(u32),
    NotFinite,
    /// Tensors of so many bytes.
    Longer(usize),
}

#[derive(Debug)]
pub struct FakeServing {
    pub mood: Mutex<Mood>,
    pub embeds: AtomicU32,
    pub infers: AtomicU32,
    pub tokenizes: AtomicU32,
    /// For whom the calls of `embed` and `infer` were.
    pub accounts: Mutex<Vec<Option<Uuid>>>,
}

impl FakeServing {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(Mood::Works),
            embeds: AtomicU32::new(0),
            infers: AtomicU32::new(0),
            tokenizes: AtomicU32::new(0),
            accounts: Mutex::default(),
        })
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Fails, hangs or waits as the mood has it, and answers it.
    async fn behave(&self) -> Result<Mood, CallError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Fails(reason) => return Err(refusal("model-serving", reason)),
            Mood::FailsTimes(times, reason) => {
                let next = if times > 1 { Mood::FailsTimes(times - 1, reason) } else { Mood::Works };
                self.set(next);
                return Err(refusal("model-serving", reason));
            }
            Mood::Hangs => std::future::pending().await,
            Mood::Slow(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        Ok(mood)
    }

    pub fn embeds(&self) -> u32 {
        self.embeds.load(Ordering::SeqCst)
    }
}

pub fn model() -> Model {
    Model {
        name: "mini".to_owned(),
        version: "1".to_owned(),
        digest: Digest::sha256(b"mini"),
        kind: "embedding".to_owned(),
        execution_provider: "CPUExecutionProvider".to_owned(),
        max_input_tokens: 256,
        dimensions: 2,
        max_items: 16,
        max_text_bytes: 4096,
        inputs: Vec::new(),
        outputs: Vec::new(),
    }
}

fn tokens(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap() + 2
}

fn row(text: &str) -> Embedding {
    let first = f32::from(text.as_bytes()[0]);
    Embedding { values: vec![text.len() as f32, first / 256.0], input_tokens: tokens(text), truncated: false }
}

#[async_trait]
impl Serving for FakeServing {
    async fn list_models(&self) -> Result<Vec<Model>, CallError> {
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            datatype: "INT16".to_owned(),
            shape: vec![None],
        };
        let tensor = Model {
            name: "raw".to_owned(),
            kind: "tensor".to_owned(),
            inputs: vec![spec("x")],
            outputs: vec![spec("x_back")],
            ..model()
        };
        let unpriced = Model { name: "unpriced".to_owned(), ..model() };
        Ok(vec![model(), tensor, unpriced])
    }

    async fn tokenize(&self, call: &EmbedCall) -> Result<Tokenized, CallError> {
        self.tokenizes.fetch_add(1, Ordering::SeqCst);
        if call.model_name == "raw" {
            return Err(refusal("model-serving", ErrorReason::InvalidField));
        }
        if call.model_name != "mini" || !["", "1"].contains(&call.model_version.as_str()) {
            return Err(refusal("model-serving", ErrorReason::ModelNotFound));
        }
        if call.texts.iter().any(|text| tokens(text) > 256) && !call.truncate {
            return Err(refusal("model-serving", ErrorReason::InputTooLarge));
        }
        Ok(Tokenized { model: model(), token_counts: call.texts.iter().map(|text| tokens(text)).collect() })
    }

    async fn embed(&self, call: &EmbedCall) -> Result<Embedded, CallError> {
        self.embeds.fetch_add(1, Ordering::SeqCst);
        self.accounts.lock().unwrap().push(call.account);
        let mut embeddings: Vec<Embedding> = call.texts.iter().map(|text| row(text)).collect();
        let mut model = model();
        match self.behave().await? {
            Mood::OtherModel => model.digest = Digest::sha256(b"another"),
            Mood::OtherTokens => embeddings[0].input_tokens += 1,
            Mood::MoreTokens(more) => embeddings[0].input_tokens += more,
            Mood::NotFinite => embeddings[0].values[0] = f32::NAN,
            _ => {}
        }
        let input_tokens = embeddings.iter().map(|it| u64::from(it.input_tokens)).sum();
        Ok(Embedded { model, embeddings, input_tokens, queue_time_us: 1, inference_time_us: 1 })
    }

    /// Gives each input back, its bytes in reverse, as an output.
    async fn infer(&self, call: &InferCall) -> Result<Inferred, CallError> {
        self.infers.fetch_add(1, Ordering::SeqCst);
        self.accounts.lock().unwrap().push(call.account);
        let mood = self.behave().await?;
        let outputs = call.inference.inputs.as_slice().iter().map(|input| {
            let name = format!("{}_back", input.name);
            if let Mood::Longer(bytes) = mood {
                let shape = vec![u64::try_from(bytes).unwrap()];
                return Tensor { name, datatype: "INT8".to_owned(), shape, contents: vec![0; bytes] };
            }
            Tensor { name, contents: input.contents.iter().rev().copied().collect(), ..input.clone() }
        });
        let wanted = |output: &Tensor| {
            call.inference.outputs.is_empty() || call.inference.outputs.contains(&output.name)
        };
        let model_digest = if mood == Mood::OtherModel { Digest::sha256(b"another") } else { model().digest };
        Ok(Inferred {
            model_digest,
            execution_provider: model().execution_provider,
            outputs: Tensors::try_new(outputs.filter(wanted).collect()).unwrap(),
        })
    }
}
