//! Between protobuf and the domain, once, at the edge.

use std::time::Duration;

use ailayer_platform::error::{ErrorReason, reason_of, retry_after, violated_field};
use ailayer_proto::ailayer::common::v1::MessageError;
use ailayer_proto::ailayer::serving::v1 as proto;
use tonic::Status;

use crate::domain::input_error::InputError;
use crate::domain::model::ModelInfo;
use crate::domain::text::Truncation;

mod contents;
mod decode_infer;
mod encode_outputs;

pub(super) use decode_infer::{InferCall, decode_infer};
pub(super) use encode_outputs::encode_outputs;

pub(super) fn model_to_proto(info: &ModelInfo) -> proto::Model {
    let text = |value: fn(&crate::domain::model::TextLimits) -> usize| {
        info.text.as_ref().map_or(0, |limits| count_to_proto(value(limits)))
    };
    proto::Model {
        name: info.id.name.clone(),
        version: info.id.version.to_string(),
        digest: info.digest.to_vec(),
        kind: if info.text.is_some() { "embedding" } else { "tensor" }.to_owned(),
        execution_provider: info.execution_provider.to_owned(),
        max_input_tokens: text(|limits| limits.max_input_tokens),
        dimensions: text(|limits| limits.dimensions),
        max_items: text(|limits| limits.max_items),
        max_text_bytes: text(|limits| limits.max_text_bytes),
        inputs: Vec::new(),
        outputs: Vec::new(),
    }
}

pub(super) fn truncation_from_proto(value: i32) -> Result<Truncation, InputError> {
    match proto::Truncation::try_from(value) {
        Ok(proto::Truncation::Unspecified | proto::Truncation::Refuse) => Ok(Truncation::Refuse),
        Ok(proto::Truncation::End) => Ok(Truncation::End),
        Ok(proto::Truncation::Start) => Ok(Truncation::Start),
        Err(_) => Err(InputError::Value {
            field: "truncation".to_owned(),
            detail: format!("{value} is no way to truncate"),
        }),
    }
}

/// What a status says, for one message of a stream that goes on.
pub(super) fn message_error_to_proto(status: &Status) -> MessageError {
    let delay = retry_after(status);
    MessageError {
        code: status.code().into(),
        reason: reason_of(status).unwrap_or(ErrorReason::Unspecified).into(),
        message: status.message().to_owned(),
        field: violated_field(status).unwrap_or_default(),
        retry_after_ms: delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// Counts are bounded by configured limits, far below the field's.
pub(super) fn count_to_proto(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub(super) fn count_from_proto(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

pub(super) fn micros_to_proto(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
