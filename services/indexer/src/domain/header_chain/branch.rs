//! A candidate for the best chain, grown header by header from a fork point.

use ailayer_primitives::UnixS;
use bitcoin::Work;
use bitcoin::block::Header;

use super::{HeaderChain, HeaderError, check};
use crate::domain::block::{ChainEvent, ChainHeader};

/// Headers checked on top of a block of a chain, not yet part of it.
#[derive(Debug)]
pub struct Branch<'a> {
    chain: &'a HeaderChain,
    fork: &'a ChainHeader,
    connected: Vec<ChainHeader>,
}

impl<'a> Branch<'a> {
    pub(super) const fn new(chain: &'a HeaderChain, fork: &'a ChainHeader) -> Self {
        Self { chain, fork, connected: Vec::new() }
    }

    /// The newest header of the branch; the fork point while it is empty.
    pub fn tip(&self) -> &ChainHeader {
        self.connected.last().unwrap_or(self.fork)
    }

    /// How many blocks of the chain would be disconnected.
    pub const fn depth(&self) -> u32 {
        self.chain.tip().height.saturating_sub(self.fork.height)
    }

    /// How many headers the branch has above the fork point.
    pub const fn len(&self) -> usize {
        self.connected.len()
    }

    /// True while nothing was connected.
    pub const fn is_empty(&self) -> bool {
        self.connected.is_empty()
    }

    /// Checks a header and puts it on top. An error leaves the branch as it was.
    pub fn connect(&mut self, header: Header, now: UnixS) -> Result<(), HeaderError> {
        let tip = self.tip();
        let below = tip.height;
        let height = below.checked_add(1).ok_or(HeaderError::MissingAncestor { height: below })?;
        if header.prev_blockhash != tip.block_hash {
            return Err(HeaderError::Unlinked { height });
        }
        let block_hash = check(&self.chain.rules, height, &header, now, |at| self.at(at))?;
        // Cannot overflow: `header` has met a target that the network's rules fix, so each term was really worked for.
        let chain_work = tip.chain_work + header.work();
        self.connected.push(ChainHeader { height, block_hash, header, chain_work });
        Ok(())
    }

    /// The work up to the branch's tip.
    pub fn chain_work(&self) -> Work {
        self.tip().chain_work
    }

    /// True if the branch has more work than the chain. Equal work keeps what was seen first.
    pub fn outweighs_chain(&self) -> bool {
        self.chain_work() > self.chain.tip().chain_work
    }

    /// The steps from the chain to the branch; `None` if the branch does not have more work.
    ///
    /// Disconnections come first, newest block first; then connections in ascending order.
    pub fn into_events(self) -> Option<Vec<ChainEvent>> {
        if !self.outweighs_chain() {
            return None;
        }
        let left = (self.fork.height.saturating_add(1)..=self.chain.tip().height)
            .rev()
            .filter_map(|height| self.chain.at(height).copied())
            .map(ChainEvent::Disconnected);
        Some(left.chain(self.connected.iter().copied().map(ChainEvent::Connected)).collect())
    }

    pub(super) fn at(&self, height: u32) -> Option<Header> {
        let found = match height.checked_sub(self.fork.height.saturating_add(1)) {
            Some(offset) => self.connected.get(usize::try_from(offset).ok()?),
            None => self.chain.at(height),
        };
        found.map(|header| header.header)
    }
}
