//! Model serving: answers, fails for a while, fails for good, or hangs.

use ailayer_gateway::domain::release::ReleaseReason;

use crate::rng::Rng;

/// What comes of a call.
#[derive(Debug, Clone, Copy)]
pub enum Served {
    /// So many tokens were read.
    Answer { tokens: u64 },
    /// It may work a little later.
    Transient,
    /// It never will.
    Failed(ReleaseReason),
    /// Nothing yet.
    Hangs,
}

/// How model serving feels.
#[derive(Debug, Default)]
pub struct Serving {
    pub is_down: bool,
    pub hangs: bool,
}

impl Serving {
    /// An answer reads exactly `tokens` if `exact`, fewer otherwise.
    pub fn embed(&self, tokens: u64, exact: bool, storm: u64, rng: &mut Rng) -> Served {
        if self.is_down {
            return Served::Transient;
        }
        if self.hangs || rng.chance(storm) {
            return Served::Hangs;
        }
        if rng.chance(storm) {
            return Served::Transient;
        }
        if rng.chance(storm) {
            let reasons =
                [ReleaseReason::ModelFailed, ReleaseReason::ModelChanged, ReleaseReason::InputRefused];
            return Served::Failed(rng.pick(&reasons).unwrap_or(ReleaseReason::ModelFailed));
        }
        let fewer = if exact { 0 } else { rng.draw() % tokens.max(1) };
        Served::Answer { tokens: tokens.saturating_sub(fewer) }
    }
}
