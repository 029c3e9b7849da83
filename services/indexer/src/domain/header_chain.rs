//! The best chain of headers: what may be connected, and when another branch wins.

use std::collections::VecDeque;

use ailayer_primitives::UnixS;
use bitcoin::block::Header;
use bitcoin::{BlockHash, CompactTarget};
use thiserror::Error;

use super::block::{BlockRef, ChainEvent, ChainHeader};
use super::difficulty::Rules;

mod branch;
pub use branch::Branch;

/// Headers whose median time a new block must exceed.
const MEDIAN_TIME_SPAN: u32 = 11;
/// How far ahead of our clock a header's time may be, as in Bitcoin Core.
const MAX_FUTURE_S: u64 = 2 * 60 * 60;

/// Why a header is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// It does not name the block below it.
    #[error("header at height {height} does not link to the block below")]
    Unlinked {
        /// Where it was offered.
        height: u32,
    },
    /// It carries another difficulty than the network demands there.
    #[error("header at height {height} carries bits {found:08x}, the network demands {expected:08x}")]
    WrongBits {
        /// Where it was offered.
        height: u32,
        /// What it carries.
        found: u32,
        /// What the rules demand.
        expected: u32,
    },
    /// Its hash is above its target.
    #[error("header {block_hash} at height {height} has no proof of work")]
    NoWork {
        /// Where it was offered.
        height: u32,
        /// Its hash.
        block_hash: BlockHash,
    },
    /// Its time is not after the median of the eleven before it, or warps a period (BIP 94).
    #[error("header at height {height} has a time that is too early")]
    TooEarly {
        /// Where it was offered.
        height: u32,
    },
    /// Its time is more than two hours ahead of our clock. May become valid later.
    #[error("header at height {height} has a time that is too far ahead")]
    TooFarAhead {
        /// Where it was offered.
        height: u32,
    },
    /// A header below it that the rules need is not at hand.
    #[error("the chain held here does not reach back far enough from height {height}")]
    MissingAncestor {
        /// Where it was offered.
        height: u32,
    },
    /// Headers from storage do not form a chain.
    #[error("stored headers do not form a chain at height {height}")]
    BrokenChain {
        /// Where the link is missing.
        height: u32,
    },
}

/// The newest part of the best chain, as far back as the rules and the deepest allowed reorg need.
///
/// A value of this type is linked by construction; it changes only by [`HeaderChain::apply`].
#[derive(Debug, Clone)]
pub struct HeaderChain {
    rules: Rules,
    /// Linked, ascending, ends right below `tip`.
    below: VecDeque<ChainHeader>,
    tip: ChainHeader,
    capacity: usize,
}

impl HeaderChain {
    /// How many headers must be held so that a reorg of `max_reorg_depth` blocks can be judged.
    pub const fn span(rules: &Rules, max_reorg_depth: u32) -> u32 {
        rules.interval().saturating_add(max_reorg_depth).saturating_add(MEDIAN_TIME_SPAN + 1)
    }

    /// A chain from headers that were checked before, ascending; at most `capacity` are kept.
    pub fn try_new(
        rules: Rules,
        capacity: u32,
        headers: impl IntoIterator<Item = ChainHeader>,
    ) -> Result<Self, HeaderError> {
        let mut headers = headers.into_iter();
        let tip = headers.next().ok_or(HeaderError::BrokenChain { height: 0 })?;
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        let mut chain = Self { rules, below: VecDeque::new(), tip, capacity };
        for header in headers {
            let linked = header.header.prev_blockhash == chain.tip.block_hash
                && Some(header.height) == chain.tip.height.checked_add(1);
            if !linked {
                return Err(HeaderError::BrokenChain { height: header.height });
            }
            chain.push(header);
        }
        Ok(chain)
    }

    /// The newest header.
    pub const fn tip(&self) -> &ChainHeader {
        &self.tip
    }

    /// The lowest height held.
    pub fn lowest_height(&self) -> u32 {
        self.below.front().map_or(self.tip.height, |header| header.height)
    }

    /// The header at a height, if held.
    pub fn at(&self, height: u32) -> Option<&ChainHeader> {
        if height == self.tip.height {
            return Some(&self.tip);
        }
        let offset = height.checked_sub(self.below.front()?.height)?;
        self.below.get(usize::try_from(offset).ok()?)
    }

    /// The newest of `headers` (ascending from `start_height`) that is in this chain.
    pub fn fork_point(&self, start_height: u32, headers: &[Header]) -> Option<BlockRef> {
        let ours = (start_height..)
            .zip(headers)
            .take_while(|(height, header)| self.at(*height).is_some_and(|ours| ours.header == **header));
        ours.last().and_then(|(height, _)| self.at(height)).map(ChainHeader::block_ref)
    }

    /// Starts a branch on the block at `fork_height`.
    pub fn branch_from(&self, fork_height: u32) -> Result<Branch<'_>, HeaderError> {
        let fork = self.at(fork_height).ok_or(HeaderError::MissingAncestor { height: fork_height })?;
        Ok(Branch::new(self, fork))
    }

    /// Takes steps that a [`Branch`] of this chain made. Steps of another chain are refused and change nothing.
    pub fn apply(&mut self, events: &[ChainEvent]) -> Result<(), HeaderError> {
        let mut next = self.clone();
        for event in events {
            match event {
                ChainEvent::Disconnected(block) if block.block_hash == next.tip.block_hash => next.pop()?,
                ChainEvent::Connected(block) if block.header.prev_blockhash == next.tip.block_hash => {
                    next.push(*block);
                }
                other => return Err(HeaderError::BrokenChain { height: other.block().height }),
            }
        }
        *self = next;
        Ok(())
    }

    fn push(&mut self, header: ChainHeader) {
        self.below.push_back(std::mem::replace(&mut self.tip, header));
        while self.below.len() >= self.capacity.max(1) {
            self.below.pop_front();
        }
    }

    fn pop(&mut self) -> Result<(), HeaderError> {
        let height = self.tip.height;
        self.tip = self.below.pop_back().ok_or(HeaderError::MissingAncestor { height })?;
        Ok(())
    }
}

/// Checks one header against the rules and the headers below it. Linkage is the caller's business.
fn check(
    rules: &Rules,
    height: u32,
    header: &Header,
    now: UnixS,
    ancestor: impl Fn(u32) -> Option<Header>,
) -> Result<BlockHash, HeaderError> {
    let missing = HeaderError::MissingAncestor { height };
    let expected = rules.expected_bits(height, header.time, &ancestor).ok_or(missing.clone())?;
    if header.bits != expected {
        let of = CompactTarget::to_consensus;
        return Err(HeaderError::WrongBits { height, found: of(header.bits), expected: of(expected) });
    }
    let block_hash = header.block_hash();
    if !header.target().is_met_by(block_hash) {
        return Err(HeaderError::NoWork { height, block_hash });
    }
    let previous = height.checked_sub(1).and_then(&ancestor).ok_or(missing)?;
    let early = median_time(height, &ancestor).is_some_and(|median| header.time <= median);
    if early || rules.is_timewarp(height, header.time, previous.time) {
        return Err(HeaderError::TooEarly { height });
    }
    if u64::from(header.time) > now.0.saturating_add(MAX_FUTURE_S) {
        return Err(HeaderError::TooFarAhead { height });
    }
    Ok(block_hash)
}

/// The median time of the eleven headers below `height`; fewer only right above genesis.
///
/// `None` right above a checkpoint, where the eleven are not known: the median of fewer could refuse a valid block.
fn median_time(height: u32, ancestor: impl Fn(u32) -> Option<Header>) -> Option<u32> {
    let lowest = height.saturating_sub(MEDIAN_TIME_SPAN);
    let mut times = (lowest..height)
        .map(|below| ancestor(below).map(|header| header.time))
        .collect::<Option<Vec<u32>>>()?;
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests;
