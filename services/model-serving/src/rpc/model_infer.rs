//! `ModelInfer`.

use ailayer_proto::inference::{ModelInferRequest, ModelInferResponse};
use tonic::Status;

use super::Rpc;
use super::convert::{InferCall, decode_infer, encode_outputs};
use crate::domain::call::CallContext;

pub(super) async fn model_infer(rpc: &Rpc, request: ModelInferRequest) -> Result<ModelInferResponse, Status> {
    let (name, version) = (request.model_name.clone(), request.model_version.clone());
    rpc.with_model("ModelInfer", &name, &version, async |model| {
        let InferCall { id, inputs, outputs, raw } = decode_infer(request, model.signature())?;
        let inferred = model.infer(inputs, outputs, &CallContext::default()).await?;
        rpc.measure(model, inferred.timing);
        let (outputs, raw_output_contents) = encode_outputs(inferred.outputs, raw);
        Ok(ModelInferResponse {
            model_name: model.info().id.name.clone(),
            model_version: model.info().id.version.to_string(),
            id,
            parameters: Default::default(),
            outputs,
            raw_output_contents,
        })
    })
    .await
}
