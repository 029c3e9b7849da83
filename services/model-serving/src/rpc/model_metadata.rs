//! `ModelMetadata`.

use std::collections::HashMap;

use ailayer_proto::inference::model_metadata_response::TensorMetadata;
use ailayer_proto::inference::{ModelMetadataRequest, ModelMetadataResponse};
use tonic::Status;

use super::Rpc;
use crate::domain::signature::TensorSpec;

/// Triton's name for ONNX models run by ONNX Runtime.
const PLATFORM: &str = "onnxruntime_onnx";

pub(super) async fn model_metadata(
    rpc: &Rpc,
    request: ModelMetadataRequest,
) -> Result<ModelMetadataResponse, Status> {
    let ModelMetadataRequest { name, version } = request;
    rpc.with_model("ModelMetadata", &name, &version, async |model| {
        let info = model.info();
        let refused = info.batching_refused.as_ref();
        let properties = [
            Some(("digest", info.digest.to_string())),
            Some(("execution_provider", info.execution_provider.to_owned())),
            Some(("pricing_unit", model.settings().pricing_unit.name().to_owned())),
            refused.map(|reason| ("batching_refused", reason.clone())),
        ];
        let said = info.properties.iter().map(|(key, value)| (key.clone(), value.clone()));
        Ok(ModelMetadataResponse {
            name: info.id.name.clone(),
            versions: rpc.catalog().ready_versions(&info.id.name).iter().map(ToString::to_string).collect(),
            platform: PLATFORM.to_owned(),
            inputs: model.signature().inputs.iter().map(tensor_metadata).collect(),
            outputs: model.signature().outputs.iter().map(tensor_metadata).collect(),
            properties: properties
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.to_owned(), value))
                .chain(said)
                .collect::<HashMap<_, _>>(),
        })
    })
    .await
}

fn tensor_metadata(spec: &TensorSpec) -> TensorMetadata {
    TensorMetadata {
        name: spec.name.clone(),
        datatype: spec.datatype.name().to_owned(),
        shape: spec.shape.clone(),
    }
}
