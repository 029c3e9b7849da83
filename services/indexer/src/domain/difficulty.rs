//! The difficulty each network demands of its next block.
//!
//! Source of the rules: Bitcoin Core `src/pow.cpp` (`GetNextWorkRequired`, `CalculateNextWorkRequired`)
//! and BIP 94 for testnet4. On signet a header's work is small by design and what makes a block valid
//! there, the signature in its coinbase, is not in the header: following signet trusts the server more.

use ailayer_primitives::Network;
use bitcoin::CompactTarget;
use bitcoin::block::Header;
use bitcoin::consensus::Params;

/// BIP 94: the first block of a period may be at most this much older than the block before it.
const MAX_TIMEWARP_S: u32 = 600;

/// The header rules of one network.
#[derive(Debug, Clone)]
pub struct Rules {
    params: Params,
    limit: CompactTarget,
    interval: u32,
    bip94: bool,
}

impl Rules {
    /// The rules of a network.
    pub fn of(network: Network) -> Self {
        let params = match network {
            Network::Bitcoin => Params::MAINNET,
            Network::Testnet4 => Params::TESTNET4,
            Network::Signet => Params::SIGNET,
            Network::Regtest => Params::REGTEST,
        };
        Self::new(params, network == Network::Testnet4)
    }

    /// Rules from parameters; `bip94` selects the testnet4 retarget and time-warp rules.
    pub(crate) fn new(params: Params, bip94: bool) -> Self {
        let limit = params.max_attainable_target.to_compact_lossy();
        // 2016 on every real network; the cast cannot fail for any period below 80,000 years.
        let interval = u32::try_from(params.difficulty_adjustment_interval()).unwrap_or(u32::MAX).max(1);
        Self { params, limit, interval, bip94 }
    }

    /// Blocks in a difficulty period.
    pub const fn interval(&self) -> u32 {
        self.interval
    }

    /// The `bits` the block at `height` must carry.
    ///
    /// `ancestor` answers for heights below `height`; `None` is returned when it lacks one that is needed
    /// (at most `interval` below).
    pub fn expected_bits(
        &self,
        height: u32,
        time: u32,
        ancestor: impl Fn(u32) -> Option<Header>,
    ) -> Option<CompactTarget> {
        let last_height = height.checked_sub(1)?;
        let last = ancestor(last_height)?;
        if self.params.no_pow_retargeting {
            return Some(last.bits);
        }
        if !height.is_multiple_of(self.interval) {
            if !self.params.allow_min_difficulty_blocks {
                return Some(last.bits);
            }
            return self.minimum_difficulty_bits(last_height, time, ancestor);
        }
        let first = ancestor(height.checked_sub(self.interval)?)?;
        let base = if self.bip94 { first.bits } else { last.bits };
        // A period that ran backwards counts as the shortest one, as in Core, where the difference is signed.
        let timespan_s = u64::from(last.time.saturating_sub(first.time));
        Some(CompactTarget::from_next_work_required(base, timespan_s, &self.params))
    }

    /// True if the block's time bends a difficulty period as BIP 94 forbids.
    pub fn is_timewarp(&self, height: u32, time: u32, previous_time: u32) -> bool {
        self.bip94
            && height.is_multiple_of(self.interval)
            && time < previous_time.saturating_sub(MAX_TIMEWARP_S)
    }

    /// Test networks: a block 20 minutes late may be easiest; others carry the last real difficulty.
    fn minimum_difficulty_bits(
        &self,
        last_height: u32,
        time: u32,
        ancestor: impl Fn(u32) -> Option<Header>,
    ) -> Option<CompactTarget> {
        let mut at = last_height;
        let mut block = ancestor(at)?;
        let late_s = self.params.pow_target_spacing.saturating_mul(2);
        if u64::from(time) > u64::from(block.time).saturating_add(late_s) {
            return Some(self.limit);
        }
        while !at.is_multiple_of(self.interval) && block.bits == self.limit {
            at = at.checked_sub(1)?;
            block = ancestor(at)?;
        }
        Some(block.bits)
    }
}

#[cfg(test)]
mod tests;
