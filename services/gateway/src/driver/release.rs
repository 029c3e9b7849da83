//! RELEASING: have the money given back, and close the job once the payment service says that it is.

use std::time::Duration;

use ailayer_client::payment::HoldInvoiceState;

use super::{Driver, Next, StepError};
use crate::crash_points;
use crate::domain::job::Input;
use crate::domain::release::ReleaseReason;
use crate::store::JobRecord;
use crate::store::transitions::Facts;
use crate::telemetry;

/// How soon a release that is under way is asked about again; its event usually comes first.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How soon a release that the payment service refuses is tried again. It contradicts our row, so a person must look.
const REFUSED_AGAIN: Duration = Duration::from_secs(30);

impl Driver {
    /// Rows R2 and R3.
    pub(super) async fn release(&self, record: &JobRecord) -> Result<Next, StepError> {
        let reason = record.job.release_reason.unwrap_or(ReleaseReason::Canceled);
        let invoice = match self.payments.release(record.job_id, reason).await {
            Ok(invoice) => invoice,
            Err(error) if error.is_transient() => {
                telemetry::step_failed(record.job_id, "release", &error);
                return Ok(Next::Retry);
            }
            Err(error) => {
                telemetry::contradiction(record.job_id, "release_refused", &error);
                return Ok(Next::Rest(REFUSED_AGAIN));
            }
        };
        self.crash_points.pass(crash_points::RELEASE_CALLED).await;
        match invoice.state {
            HoldInvoiceState::Released | HoldInvoiceState::Expired => {
                self.apply(record, Input::ReleaseConfirmed, None, Facts::default()).await
            }
            _ => Ok(Next::Rest(ASK_AGAIN)),
        }
    }
}
