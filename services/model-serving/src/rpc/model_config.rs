//! `ModelConfig`: the configuration in effect, in Triton's words.

use ailayer_proto::inference::model_config::SchedulingChoice;
use ailayer_proto::inference::model_instance_group::Kind;
use ailayer_proto::inference::model_version_policy::{All, Latest, PolicyChoice, Specific};
use ailayer_proto::inference::{
    DataType, ModelConfig, ModelConfigRequest, ModelConfigResponse, ModelDynamicBatching, ModelInput,
    ModelInstanceGroup, ModelOutput, ModelQueuePolicy, ModelVersionPolicy,
};
use tonic::Status;

use super::Rpc;
use crate::domain::batch::has_rows;
use crate::domain::datatype::Datatype;
use crate::domain::settings::{Batching, ModelSettings, QueueSettings, VersionPolicy};
use crate::domain::signature::{Signature, TensorSpec};
use crate::model::Model;

/// Triton's names for ONNX models run by ONNX Runtime.
const PLATFORM: &str = "onnxruntime_onnx";
const BACKEND: &str = "onnxruntime";

pub(super) async fn model_config(
    rpc: &Rpc,
    request: ModelConfigRequest,
) -> Result<ModelConfigResponse, Status> {
    let ModelConfigRequest { name, version } = request;
    rpc.with_model("ModelConfig", &name, &version, async |model| {
        Ok(ModelConfigResponse { config: Some(config(model)) })
    })
    .await
}

/// Fields that have no effect stay empty.
fn config(model: &Model) -> ModelConfig {
    let (settings, signature) = (model.settings(), model.signature());
    let max_batch_size = max_batch_size(&settings.batching, signature);
    let batched = max_batch_size > 0;
    let inputs = signature.inputs.iter().map(|spec| ModelInput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: dims(spec, batched),
        ..Default::default()
    });
    let outputs = signature.outputs.iter().map(|spec| ModelOutput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: dims(spec, batched),
        ..Default::default()
    });
    ModelConfig {
        name: model.info().id.name.clone(),
        platform: PLATFORM.to_owned(),
        backend: BACKEND.to_owned(),
        version_policy: Some(version_policy(&settings.versions)),
        max_batch_size,
        input: inputs.collect(),
        output: outputs.collect(),
        instance_group: vec![ModelInstanceGroup {
            name: format!("{}_0", model.info().id.name),
            kind: Kind::Cpu.into(),
            count: int(settings.instances),
            ..Default::default()
        }],
        default_model_filename: settings.model_file.clone(),
        scheduling_choice: dynamic_batching(settings).map(SchedulingChoice::DynamicBatching),
        ..Default::default()
    }
}

/// Triton's meaning: the most rows of a request, which takes the first dimension off `dims`; 0 where shapes are literal, or
/// nothing says that the first dimension is one of rows.
fn max_batch_size(batching: &Batching, signature: &Signature) -> i32 {
    match (batching.max_request_rows, batching.max_rows) {
        _ if batching.literal_shapes || !has_rows(signature) => 0,
        (Some(rows), _) => int(rows),
        (None, 0 | 1) => 0,
        (None, rows) => int(rows),
    }
}

fn dynamic_batching(settings: &ModelSettings) -> Option<ModelDynamicBatching> {
    let queue = &settings.queue;
    if settings.batching.literal_shapes || settings.batching.max_rows < 2 && queue.priority_levels < 2 {
        return None;
    }
    Some(ModelDynamicBatching {
        max_queue_delay_microseconds: micros(settings.batching.max_delay),
        priority_levels: queue.priority_levels.into(),
        default_priority_level: queue.default_priority.into(),
        default_queue_policy: Some(queue_policy(queue)),
        ..Default::default()
    })
}

fn queue_policy(queue: &QueueSettings) -> ModelQueuePolicy {
    ModelQueuePolicy {
        default_timeout_microseconds: queue.max_age.map_or(0, micros),
        allow_timeout_override: true,
        max_queue_size: u32::try_from(queue.max_entries).unwrap_or(u32::MAX),
        ..Default::default()
    }
}

fn version_policy(policy: &VersionPolicy) -> ModelVersionPolicy {
    let choice = match policy {
        VersionPolicy::Latest(count) => {
            PolicyChoice::Latest(Latest { num_versions: u32::try_from(*count).unwrap_or(u32::MAX) })
        }
        VersionPolicy::All => PolicyChoice::All(All {}),
        VersionPolicy::Listed(versions) => PolicyChoice::Specific(Specific {
            versions: versions.iter().filter_map(|version| version.to_string().parse().ok()).collect(),
        }),
    };
    ModelVersionPolicy { policy_choice: Some(choice) }
}

fn dims(spec: &TensorSpec, batched: bool) -> Vec<i64> {
    spec.shape.iter().copied().skip(usize::from(batched)).collect()
}

const fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Bool => DataType::TypeBool,
        Datatype::Int8 => DataType::TypeInt8,
        Datatype::Int16 => DataType::TypeInt16,
        Datatype::Int32 => DataType::TypeInt32,
        Datatype::Int64 => DataType::TypeInt64,
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Uint16 => DataType::TypeUint16,
        Datatype::Uint32 => DataType::TypeUint32,
        Datatype::Uint64 => DataType::TypeUint64,
        Datatype::Fp16 => DataType::TypeFp16,
        Datatype::Bf16 => DataType::TypeBf16,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Fp64 => DataType::TypeFp64,
        Datatype::Bytes => DataType::TypeString,
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
