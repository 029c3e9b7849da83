//! Model serving: texts by its own service, tensors by the Open Inference Protocol.

use ailayer_platform::client::{ClientConfig, ClientError, GrpcChannel, channel};
use ailayer_primitives::Digest;
use ailayer_proto::ailayer::serving::v1 as pb;
use ailayer_proto::inference::infer_parameter::ParameterChoice;
use ailayer_proto::inference::{self as oip, grpc_inference_service_client::GrpcInferenceServiceClient};
use ailayer_receipt::tensor::{Inference, Tensor, TensorSpec, Tensors};
use pb::serving_service_client::ServingServiceClient;
use tonic::Request;
use uuid::Uuid;

use crate::error::refused;
use crate::wire::{Reader, tensor_spec};
use crate::{CallError, MAX_ANSWER_BYTES};

const SERVICE: &str = "model-serving";
const READ: Reader = Reader(SERVICE);
/// Names the account a call is made for.
const ACCOUNT_HEADER: &str = "x-ailayer-account";

/// Asks that the answer says which file ran on what.
const DESCRIBE_MODEL: &str = "describe_model";

/// A loaded model version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The name under which it is called.
    pub name: String,
    /// The version.
    pub version: String,
    /// The SHA-256 of the model file.
    pub digest: Digest,
    /// "embedding" or "tensor".
    pub kind: String,
    /// What runs it, e.g. "CPUExecutionProvider".
    pub execution_provider: String,
    /// The longest text in tokens.
    pub max_input_tokens: u32,
    /// The numbers in one embedding.
    pub dimensions: u32,
    /// The most texts one call may carry.
    pub max_items: u32,
    /// The longest text in bytes.
    pub max_text_bytes: u32,
    /// What a tensor model takes. Told by [`ServingClient::list_models`] only.
    pub inputs: Vec<TensorSpec>,
    /// What a tensor model gives. Told by [`ServingClient::list_models`] only.
    pub outputs: Vec<TensorSpec>,
}

/// What a tensor model says of a tensor.
fn specs(specs: Vec<pb::TensorSpec>) -> Vec<TensorSpec> {
    specs.into_iter().map(|it| tensor_spec(it.name, it.datatype, it.shape)).collect()
}

impl Model {
    fn read(model: pb::Model) -> Result<Self, CallError> {
        Ok(Self {
            name: model.name,
            version: model.version,
            digest: Digest::new(READ.bytes("digest", &model.digest)?),
            kind: model.kind,
            execution_provider: model.execution_provider,
            max_input_tokens: model.max_input_tokens,
            dimensions: model.dimensions,
            max_items: model.max_items,
            max_text_bytes: model.max_text_bytes,
            inputs: specs(model.inputs),
            outputs: specs(model.outputs),
        })
    }
}

/// Texts for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedCall {
    /// The model's name.
    pub model_name: String,
    /// The version; empty for the newest that is ready.
    pub model_version: String,
    /// The texts.
    pub texts: Vec<String>,
    /// Cuts texts longer than the model reads instead of refusing them.
    pub truncate: bool,
    /// For whom: accounts that wait are served in turn. None for strangers, who are one account together.
    pub account: Option<Uuid>,
}

/// A request that names the account.
fn request<T>(account: Option<Uuid>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let account = account.and_then(|account| account.to_string().parse().ok());
    if let Some(account) = account {
        request.metadata_mut().insert(ACCOUNT_HEADER, account);
    }
    request
}

impl EmbedCall {
    fn request<T>(&self, message: T) -> Request<T> {
        request(self.account, message)
    }

    const fn truncation(&self) -> i32 {
        (if self.truncate { pb::Truncation::End } else { pb::Truncation::Refuse }) as i32
    }
}

/// Tensors for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferCall {
    /// The model's name.
    pub model_name: String,
    /// The version; empty for the newest that is ready.
    pub model_version: String,
    /// What is asked.
    pub inference: Inference,
    /// For whom: accounts that wait are served in turn. None for strangers, who are one account together.
    pub account: Option<Uuid>,
}

impl InferCall {
    fn to_proto(&self) -> oip::ModelInferRequest {
        let tensors = self.inference.inputs.as_slice();
        let input = |tensor: &Tensor| oip::model_infer_request::InferInputTensor {
            name: tensor.name.clone(),
            datatype: tensor.datatype.clone(),
            // A side that is too long for the protocol is longer than any model takes.
            shape: tensor.shape.iter().map(|side| i64::try_from(*side).unwrap_or(i64::MAX)).collect(),
            ..Default::default()
        };
        let output = |name: &String| oip::model_infer_request::InferRequestedOutputTensor {
            name: name.clone(),
            ..Default::default()
        };
        let describe = ParameterChoice::BoolParam(true);
        let describe = oip::InferParameter { parameter_choice: Some(describe) };
        oip::ModelInferRequest {
            model_name: self.model_name.clone(),
            model_version: self.model_version.clone(),
            parameters: [(DESCRIBE_MODEL.to_owned(), describe)].into(),
            inputs: tensors.iter().map(input).collect(),
            outputs: self.inference.outputs.iter().map(output).collect(),
            raw_input_contents: tensors.iter().map(|tensor| tensor.contents.clone().into()).collect(),
            ..Default::default()
        }
    }
}

/// The outputs of a tensor model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// The SHA-256 of the model file that ran.
    pub model_digest: Digest,
    /// What ran it.
    pub execution_provider: String,
    /// The outputs.
    pub outputs: Tensors,
}

impl Inferred {
    fn read(answer: oip::ModelInferResponse) -> Result<Self, CallError> {
        let word = |name: &str| match answer.parameters.get(name).map(|it| &it.parameter_choice) {
            Some(Some(ParameterChoice::StringParam(word))) => Ok(word.clone()),
            _ => Err(CallError::malformed(SERVICE, format!("no {name}"))),
        };
        let (model_digest, execution_provider) = (word("model_digest")?, word("execution_provider")?);
        if answer.raw_output_contents.len() != answer.outputs.len() {
            return Err(CallError::malformed(SERVICE, "another number of raw contents than of outputs"));
        }
        let outputs = answer.outputs.into_iter().zip(answer.raw_output_contents);
        let outputs = outputs.map(|(output, contents)| {
            let shape = output.shape.iter().map(|side| u64::try_from(*side)).collect::<Result<_, _>>();
            let shape = shape.map_err(|_| CallError::malformed(SERVICE, "a side below zero"))?;
            Ok(Tensor { name: output.name, datatype: output.datatype, shape, contents: contents.into() })
        });
        let outputs = Tensors::try_new(outputs.collect::<Result<_, CallError>>()?);
        Ok(Self {
            model_digest: READ.parse("model_digest", &model_digest)?,
            execution_provider,
            outputs: outputs.map_err(|error| CallError::malformed(SERVICE, error.to_string()))?,
        })
    }
}

/// How many tokens texts have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokenized {
    /// The model that counted.
    pub model: Model,
    /// The tokens of each text, in order; as many as there were texts.
    pub token_counts: Vec<u32>,
}

/// One vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The numbers.
    pub values: Vec<f32>,
    /// The tokens of its text.
    pub input_tokens: u32,
    /// True if the text was cut.
    pub truncated: bool,
}

/// Embeddings and what was used to make them.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The model version that ran.
    pub model: Model,
    /// One embedding a text, in order; as many as there were texts, all of the model's dimensions.
    pub embeddings: Vec<Embedding>,
    /// The sum of the texts' tokens.
    pub input_tokens: u64,
    /// Time waiting for the engine, microseconds.
    pub queue_time_us: u64,
    /// Time in the engine, microseconds.
    pub inference_time_us: u64,
}

/// Calls model serving.
#[derive(Clone, Debug)]
pub struct ServingClient {
    unary: ServingServiceClient<GrpcChannel>,
    tensors: GrpcInferenceServiceClient<GrpcChannel>,
}

impl ServingClient {
    /// Prepares the client; the connection comes up at the first call.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let channel = channel(config)?;
        let tensors = GrpcInferenceServiceClient::new(channel.clone());
        Ok(Self {
            unary: ServingServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES),
            tensors: tensors.max_decoding_message_size(MAX_ANSWER_BYTES),
        })
    }

    /// Lists the models that are ready, by name and version.
    pub async fn list_models(&self) -> Result<Vec<Model>, CallError> {
        let answer = self.unary.clone().list_models(pb::ListModelsRequest {}).await;
        let models = answer.map_err(refused(SERVICE))?.into_inner().models;
        models.into_iter().map(Model::read).collect()
    }

    /// Counts the tokens of texts without running the model.
    pub async fn tokenize(&self, call: &EmbedCall) -> Result<Tokenized, CallError> {
        let request = pb::TokenizeRequest {
            model_name: call.model_name.clone(),
            model_version: call.model_version.clone(),
            texts: call.texts.clone(),
            truncation: call.truncation(),
            ..Default::default()
        };
        let answer =
            self.unary.clone().tokenize(call.request(request)).await.map_err(refused(SERVICE))?.into_inner();
        if answer.token_counts.len() != call.texts.len() {
            return Err(CallError::malformed(SERVICE, "another number of token counts than texts"));
        }
        let model = Model::read(READ.required("model", answer.model)?)?;
        Ok(Tokenized { model, token_counts: answer.token_counts })
    }

    /// Computes one embedding a text.
    pub async fn embed(&self, call: &EmbedCall) -> Result<Embedded, CallError> {
        let request = pb::EmbedRequest {
            model_name: call.model_name.clone(),
            model_version: call.model_version.clone(),
            texts: call.texts.clone(),
            truncation: call.truncation(),
            ..Default::default()
        };
        let answer =
            self.unary.clone().embed(call.request(request)).await.map_err(refused(SERVICE))?.into_inner();
        let model = Model::read(READ.required("model", answer.model)?)?;
        if answer.embeddings.len() != call.texts.len() {
            return Err(CallError::malformed(SERVICE, "another number of embeddings than texts"));
        }
        let dimensions = usize::try_from(model.dimensions).unwrap_or(usize::MAX);
        if answer.embeddings.iter().any(|embedding| embedding.values.len() != dimensions) {
            return Err(CallError::malformed(SERVICE, "an embedding of other dimensions than the model's"));
        }
        let embeddings = answer.embeddings.into_iter().map(|it| Embedding {
            values: it.values,
            input_tokens: it.input_tokens,
            truncated: it.truncated,
        });
        Ok(Embedded {
            model,
            embeddings: embeddings.collect(),
            input_tokens: answer.input_tokens,
            queue_time_us: answer.queue_time_us,
            inference_time_us: answer.inference_time_us,
        })
    }

    /// Runs a model on tensors.
    pub async fn infer(&self, call: &InferCall) -> Result<Inferred, CallError> {
        let request = request(call.account, call.to_proto());
        let answer = self.tensors.clone().model_infer(request).await.map_err(refused(SERVICE))?;
        Inferred::read(answer.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_its_account_and_a_strangers_none() {
        let call = |account| EmbedCall {
            model_name: "mini".to_owned(),
            model_version: String::new(),
            texts: vec!["a".to_owned()],
            truncate: false,
            account,
        };
        let header = |call: EmbedCall| {
            let request = call.request(());
            request.metadata().get(ACCOUNT_HEADER).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            header(call(Some(Uuid::from_u128(7)))).as_deref(),
            Some("00000000-0000-0000-0000-000000000007")
        );
        assert_eq!(header(call(None)), None);
    }
}
