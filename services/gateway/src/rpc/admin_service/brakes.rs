//! Brakes: shown, put on, taken off.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::note;
use crate::domain::brake::Brake;
use crate::rpc::{Answer, Gateway};
use crate::store::brakes::BrakeRecord;

pub(super) async fn list(
    gateway: &Gateway,
    _operator: &str,
    _request: pb::ListBrakesRequest,
) -> Answer<pb::ListBrakesResponse> {
    let all = gateway.brakes.all().await?;
    Ok(pb::ListBrakesResponse { brakes: all.iter().map(to_proto).collect() })
}

pub(super) async fn set(
    gateway: &Gateway,
    operator: &str,
    request: pb::SetBrakeRequest,
) -> Answer<pb::SetBrakeResponse> {
    let brake: Brake = request.name.parse().map_err(|error: crate::domain::brake::UnknownBrake| {
        Failure::invalid_field("name", error.to_string())
    })?;
    let record = gateway.brakes.set(brake, request.engaged, &note(request.note)?, operator).await?;
    Ok(pb::SetBrakeResponse { brake: Some(to_proto(&record)) })
}

fn to_proto(record: &BrakeRecord) -> pb::Brake {
    pb::Brake {
        name: record.brake.as_str().to_owned(),
        engaged: record.engaged,
        note: record.note.clone(),
        operator: record.operator.clone(),
        changed_unix_ms: record.changed_at.map_or(0, |at| at.0),
    }
}
