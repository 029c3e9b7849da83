//! COMPLETED, TAKING: the receipt before the claim, the claim before the money.

use std::time::Duration;

use ailayer_client::ErrorReason;

use super::{Driver, Next, StepError};
use crate::audit_log::LogError;
use crate::crash_points;
use crate::domain::brake::Brake;
use crate::domain::job::{Input, Rail};
use crate::store::JobRecord;
use crate::store::transitions::Facts;
use crate::telemetry;

/// How soon it is looked again whether claims are allowed.
const WHILE_PAUSED: Duration = Duration::from_secs(1);

impl Driver {
    /// What a COMPLETED job needs next.
    pub(super) async fn deliver(&self, record: &JobRecord) -> Result<Next, StepError> {
        let context = self.jobs.context(record, None);
        match (record.job.acknowledge_until(&context), record.leaf_index) {
            // The buyer's turn. An acknowledgement makes the job due at once.
            (Some(until), _) => {
                let rest = until.0.saturating_sub(context.now.0).saturating_add(1);
                Ok(Next::Rest(Duration::from_millis(rest)))
            }
            (None, Some(leaf_index)) => self.authorise(record, leaf_index).await,
            (None, None) => self.append_and_authorise(record).await,
        }
    }

    /// Rows 7 and 8: the stored bytes are appended as they are, then the claim is authorised if the tip allows it. A sealed
    /// job notes row 7 and waits.
    async fn append_and_authorise(&self, record: &JobRecord) -> Result<Next, StepError> {
        if self.is_paused(record).await {
            return Ok(Next::Rest(WHILE_PAUSED));
        }
        let receipt = record.receipt.as_deref().unwrap_or_default();
        let append = self.log.append(receipt.as_bytes());
        let appended = match tokio::time::timeout(self.append_time_left(record), append).await {
            Ok(Ok(appended)) => appended,
            Ok(Err(error)) => return self.not_appended(record, &error).await,
            // The rules see that the time is over, and give the money back.
            Err(_elapsed) => return Ok(Next::Again),
        };
        self.crash_points.pass(crash_points::APPENDED).await;
        self.authorise(record, appended.leaf_index).await
    }

    /// Row 8, or the note of row 7.
    async fn authorise(&self, record: &JobRecord, leaf_index: u64) -> Result<Next, StepError> {
        // The log may have taken its time.
        if self.is_paused(record).await {
            return Ok(Next::Rest(WHILE_PAUSED));
        }
        // Asked for last: what counts is the tip at the moment the claim is authorised. A reservation has no deadline.
        let tip = if record.job.rail == Rail::Hold { self.tip().await } else { None };
        let facts = Facts { leaf_index: Some(leaf_index), ..Facts::default() };
        self.apply(record, Input::ReceiptAppended, tip, facts).await
    }

    /// Whether an operator has stopped claims, or nobody can say.
    async fn is_paused(&self, record: &JobRecord) -> bool {
        let checked = self.brakes.check(Brake::Claims).await;
        if let Err(error) = &checked {
            telemetry::step_failed(record.job_id, "claims_paused", error);
        }
        checked.is_err()
    }

    fn append_time_left(&self, record: &JobRecord) -> Duration {
        let now = self.jobs.time_for(record);
        let completed_at = record.job.completed_at.unwrap_or(now);
        let ends_at = completed_at.0.saturating_add(self.jobs.rules().append_timeout_ms);
        Duration::from_millis(ends_at.saturating_sub(now.0))
    }

    async fn not_appended(&self, record: &JobRecord, error: &LogError) -> Result<Next, StepError> {
        telemetry::step_failed(record.job_id, "append_receipt", error);
        if error.is_final_refusal() {
            return self.apply(record, Input::AppendRefused, None, Facts::default()).await;
        }
        // Until the append timeout: then the money goes back.
        Ok(Next::Retry)
    }

    /// Row 9. Whatever the answer, only the event says that the money is there, or will not come.
    pub(super) async fn claim(&self, record: &JobRecord) -> Next {
        match self.payments.claim(record.job_id).await {
            Ok(_) => {
                self.crash_points.pass(crash_points::CLAIM_CALLED).await;
                Next::Rest(self.claim_again)
            }
            Err(error) => {
                telemetry::step_failed(record.job_id, "claim", &error);
                match error.reason() {
                    // Too late, or the guard was faster: an event will say which.
                    Some(ErrorReason::DeadlineTooClose | ErrorReason::InvalidState) => {
                        Next::Rest(self.claim_again)
                    }
                    _ if error.is_transient() => Next::Retry,
                    _ => Next::Rest(Duration::from_secs(30)),
                }
            }
        }
    }
}
