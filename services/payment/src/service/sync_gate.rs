//! Whether the node's view of the chain is fresh enough to lock money by.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ailayer_primitives::UnixS;

use crate::error::ServiceError;
use crate::ports::NodeStatus;

/// A tip, and since when it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TipSeen {
    /// Its height.
    pub height: u32,
    /// When the service first saw it.
    pub since: UnixS,
}

/// Deadlines are heights, so a node that does not see new blocks must not take new holds.
///
/// Two ages are watched. The *sync age* is the time since the chain source last answered; it catches a dead
/// source. The *tip age* is the time since the tip last changed, counted from when this service first saw it, also in an
/// earlier process ([`SyncGate::remember`]): a restart makes a stuck tip no younger. It
/// catches a source that answers but is itself stuck. Regtest has no tip age: there blocks come when asked for.
#[derive(Debug)]
pub struct SyncGate {
    started: Instant,
    first_sync_wait: Duration,
    max_sync_age: Duration,
    max_tip_age: Option<Duration>,
    tip_seen: Mutex<Option<TipSeen>>,
}

impl SyncGate {
    /// A gate with its limits, over a node that has just started.
    pub fn new(first_sync_wait: Duration, max_sync_age: Duration, max_tip_age: Option<Duration>) -> Self {
        let started = Instant::now();
        Self { started, first_sync_wait, max_sync_age, max_tip_age, tip_seen: Mutex::new(None) }
    }

    /// Refuses with NOT_SYNCED while the view is missing or too old.
    pub fn check(&self, status: &NodeStatus, now: UnixS) -> Result<(), ServiceError> {
        let tip_age = self.observe(status.tip.height, now);
        if !status.running {
            return Err(ServiceError::NotSynced("it is not running"));
        }
        let Some(synced_at) = status.synced_at else {
            return Err(ServiceError::NotSynced("not synced since its start"));
        };
        if now.0.saturating_sub(synced_at.0) > self.max_sync_age.as_secs() {
            return Err(ServiceError::NotSynced("the chain source does not answer"));
        }
        if self.max_tip_age.is_some_and(|limit| tip_age > limit) {
            return Err(ServiceError::NotSynced("the tip is too old"));
        }
        Ok(())
    }

    /// True while the node has not synced since its start and is still given time to.
    pub fn may_still_sync(&self, status: &NodeStatus) -> bool {
        status.synced_at.is_none() && self.started.elapsed() < self.first_sync_wait
    }

    /// Takes over what an earlier process saw.
    pub fn remember(&self, seen: TipSeen) {
        *self.tip_seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    /// The tip as it was last checked; for [`SyncGate::remember`] after a restart.
    pub fn tip_seen(&self) -> Option<TipSeen> {
        *self.tip_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the tip; answers how long it has been the tip.
    fn observe(&self, height: u32, now: UnixS) -> Duration {
        let mut seen = self.tip_seen.lock().unwrap_or_else(PoisonError::into_inner);
        match *seen {
            Some(known) if known.height == height => Duration::from_secs(now.0.saturating_sub(known.since.0)),
            _ => {
                *seen = Some(TipSeen { height, since: now });
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::BlockHash;
    use bitcoin::hashes::Hash as _;

    use super::*;
    use crate::ports::Tip;

    fn status(running: bool, synced_at: Option<u64>) -> NodeStatus {
        let tip = Tip { block_hash: BlockHash::all_zeros(), height: 7 };
        NodeStatus { running, tip, synced_at: synced_at.map(UnixS) }
    }

    #[test]
    fn only_a_fresh_view_passes() {
        let gate = SyncGate::new(Duration::ZERO, Duration::from_secs(60), None);
        assert!(gate.check(&status(true, Some(1000)), UnixS(1060)).is_ok());
        assert!(gate.check(&status(true, Some(1000)), UnixS(1061)).is_err());
        assert!(gate.check(&status(true, None), UnixS(1000)).is_err());
        assert!(gate.check(&status(false, Some(1000)), UnixS(1000)).is_err());
    }

    #[test]
    fn the_first_sync_is_waited_for_but_not_for_ever() {
        let patient = SyncGate::new(Duration::from_secs(60), Duration::from_secs(60), None);
        assert!(patient.may_still_sync(&status(true, None)));
        assert!(!patient.may_still_sync(&status(true, Some(1000))), "old is not the same as not yet");
        let impatient = SyncGate::new(Duration::ZERO, Duration::from_secs(60), None);
        assert!(!impatient.may_still_sync(&status(true, None)));
    }

    #[test]
    fn a_tip_that_never_changes_closes_the_gate() {
        let gate = SyncGate::new(Duration::ZERO, Duration::from_secs(60), Some(Duration::from_secs(3600)));
        assert_eq!(gate.observe(7, UnixS(1000)), Duration::ZERO);
        assert_eq!(gate.observe(7, UnixS(1009)), Duration::from_secs(9));
        assert_eq!(gate.observe(8, UnixS(1010)), Duration::ZERO);
        assert!(gate.check(&status(true, Some(4611)), UnixS(4611)).is_ok(), "another tip");
        assert!(gate.check(&status(true, Some(8211)), UnixS(8211)).is_ok());
        assert!(gate.check(&status(true, Some(8212)), UnixS(8212)).is_err());
    }

    #[test]
    fn a_restart_makes_a_stuck_tip_no_younger() {
        let gate = SyncGate::new(Duration::ZERO, Duration::from_secs(60), Some(Duration::from_secs(3600)));
        gate.remember(TipSeen { height: 7, since: UnixS(1000) });
        assert!(gate.check(&status(true, Some(4600)), UnixS(4600)).is_ok());
        assert!(gate.check(&status(true, Some(4601)), UnixS(4601)).is_err());
        assert_eq!(gate.tip_seen(), Some(TipSeen { height: 7, since: UnixS(1000) }));
    }
}
