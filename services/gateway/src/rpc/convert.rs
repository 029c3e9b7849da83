//! Domain to protobuf.

use ailayer_proto::ailayer::gateway::v1 as pb;

use crate::domain::job::State;
use crate::domain::release::ReleaseReason;
use crate::store::JobRecord;
use crate::store::history::JobEvent;

pub(super) const fn state(state: State) -> pb::JobState {
    match state {
        State::Quoted => pb::JobState::Quoted,
        State::Held => pb::JobState::Held,
        State::Running => pb::JobState::Running,
        State::Completed => pb::JobState::Completed,
        State::Taking => pb::JobState::Taking,
        State::Settled => pb::JobState::Settled,
        State::Lost => pb::JobState::Lost,
        State::Releasing => pb::JobState::Releasing,
        State::Failed => pb::JobState::Failed,
        State::Canceled => pb::JobState::Canceled,
        State::Expired => pb::JobState::Expired,
    }
}

pub(super) fn job(record: &JobRecord) -> pb::Job {
    pb::Job {
        job_id: record.job_id.to_string(),
        state: state(record.job.state) as i32,
        price_msat: record.job.price.msat(),
        release_reason: reason(record.job.release_reason),
        created_unix_ms: record.created_at.0,
        updated_unix_ms: record.updated_at.0,
        expiry_unix_s: record.expiry_s().0,
        attempts: record.job.attempt,
    }
}

/// The job as it was after one of its changes.
pub(super) fn job_at(record: &JobRecord, event: &JobEvent) -> pb::Job {
    pb::Job {
        state: state(event.state) as i32,
        release_reason: reason(event.release_reason),
        updated_unix_ms: event.recorded_at.0,
        attempts: event.attempt,
        ..job(record)
    }
}

fn reason(reason: Option<ReleaseReason>) -> String {
    reason.map(|reason| reason.to_string()).unwrap_or_default()
}
