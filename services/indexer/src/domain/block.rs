//! Blocks and what happens to the best chain.

use bitcoin::block::Header;
use bitcoin::{BlockHash, Work};

/// Hash and height, always together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockRef {
    /// The block hash.
    pub block_hash: BlockHash,
    /// The height; genesis is 0.
    pub height: u32,
}

/// A header that was checked, at its place in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHeader {
    /// The height; genesis is 0.
    pub height: u32,
    /// The hash of `header`, kept because computing it is not free.
    pub block_hash: BlockHash,
    /// The header.
    pub header: Header,
    /// The work of all blocks from the chain's base to this one, both included.
    pub chain_work: Work,
}

impl ChainHeader {
    /// The first header of a chain, believed without a check: genesis, or a configured checkpoint.
    pub fn base(height: u32, header: Header) -> Self {
        Self { height, block_hash: header.block_hash(), header, chain_work: header.work() }
    }

    /// Its hash and height.
    pub const fn block_ref(&self) -> BlockRef {
        BlockRef { block_hash: self.block_hash, height: self.height }
    }
}

/// One step of the best chain. Applied in order, the steps of a log rebuild the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainEvent {
    /// The newest block left the best chain.
    Disconnected(ChainHeader),
    /// A block was added on top of the newest one.
    Connected(ChainHeader),
}

impl ChainEvent {
    /// The block it is about.
    pub const fn block(&self) -> &ChainHeader {
        match self {
            Self::Disconnected(block) | Self::Connected(block) => block,
        }
    }
}
