//! The points behind durable writes where tests make the gateway die.
//!
//! Real processes die by `AILAYER_CRASH_POINT` (see [`ailayer_platform::crash`]). Simulations within one process halt a
//! gateway for good at a point instead, and then drop it.

use std::future::pending;
use std::sync::Arc;

use ailayer_platform::crash;
use tokio::sync::Notify;

/// Row 1.
pub const QUOTED: &str = "gateway.g1.quoted";
/// Row 2.
pub const INVOICE_STORED: &str = "gateway.g2.invoice_stored";
/// Row 4.
pub const HELD: &str = "gateway.g4.held";
/// Row 5.
pub const RUNNING: &str = "gateway.g5.running";
/// Row 6.
pub const COMPLETED: &str = "gateway.g6.completed";
/// Row 7.
pub const APPENDED: &str = "gateway.a7.appended";
/// Row 7 of a sealed job, noted: the ciphertext can be fetched.
pub const APPEND_NOTED: &str = "gateway.g7.append_noted";
/// Behind row 7 of a sealed job: the ciphertext is acknowledged.
pub const ACKNOWLEDGED: &str = "gateway.g7.acknowledged";
/// Row 8.
pub const TAKING: &str = "gateway.g8.taking";
/// Row 9.
pub const CLAIM_CALLED: &str = "gateway.p9.claim_called";
/// Row 11.
pub const SETTLED: &str = "gateway.g11.settled";
/// Row 12.
pub const CLOSED: &str = "gateway.a12.closed";
/// Row R1.
pub const RELEASING: &str = "gateway.r1.releasing";
/// Row R2.
pub const RELEASE_CALLED: &str = "gateway.r2.release_called";
/// Row R3.
pub const RELEASED: &str = "gateway.r3.released";

/// A deposit is stored, and has no invoice yet.
pub const DEPOSIT_STORED: &str = "gateway.d1.stored";
/// The claim of a deposit was asked for.
pub const DEPOSIT_CLAIM_CALLED: &str = "gateway.d3.claim_called";
/// A deposit is credited.
pub const DEPOSIT_CREDITED: &str = "gateway.d4.credited";

/// Every point of a job on the hold rail, in the order of the durable writes.
pub const ALL: [&str; 13] = [
    QUOTED,
    INVOICE_STORED,
    HELD,
    RUNNING,
    COMPLETED,
    APPENDED,
    TAKING,
    CLAIM_CALLED,
    SETTLED,
    CLOSED,
    RELEASING,
    RELEASE_CALLED,
    RELEASED,
];

/// Those that only sealed jobs pass.
pub const SEALED: [&str; 2] = [APPEND_NOTED, ACKNOWLEDGED];

/// Where a simulated gateway halts; nowhere by default.
#[derive(Clone, Debug, Default)]
pub struct CrashPoints(Option<Arc<Halt>>);

#[derive(Debug)]
struct Halt {
    point: &'static str,
    reached: Notify,
}

impl CrashPoints {
    /// Halts whoever passes `point`, for ever.
    pub fn halting_at(point: &'static str) -> Self {
        Self(Some(Arc::new(Halt { point, reached: Notify::new() })))
    }

    /// Ends when the point was reached; never without one.
    pub async fn reached(&self) {
        match &self.0 {
            Some(halt) => halt.reached.notified().await,
            None => pending().await,
        }
    }

    /// To be called right behind the durable write that the point is named after.
    pub async fn pass(&self, point: &'static str) {
        crash::point(point);
        if let Some(halt) = self.0.as_ref().filter(|halt| halt.point == point) {
            halt.reached.notify_one();
            pending().await
        }
    }
}
