//! The chain of headers on top of the anchor: linkage, proof of work, and how much work at least.

use ailayer_primitives::Network;
use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::{CompactTarget, Target};

use crate::strict_hex;

/// Easiest target accepted on `bitcoin`, as a header's compact bits: a difficulty of about 10^13.
///
/// Without a floor a fork from any early block, of difficulty 1, would do. Difficulty has been above 1.3 * 10^13 since
/// 2020 and above 10^14 since late 2024, so honest anchors are far from the floor. One fake block at
/// the floor costs about 4.3 * 10^22 hashes: 240 MWh at 20 J/TH. Raise it when difficulty has risen for good.
pub const MIN_BITCOIN_DIFFICULTY_BITS: u32 = 0x171c_0000;

/// Largest exponent of compact bits that does not shift bits out of 256.
const MAX_EXPONENT: u32 = 0x20;

/// What is wrong with the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadersError {
    /// There are none.
    #[error("is empty")]
    Empty,
    /// Not 160 lower-case hexadecimal digits; counted from 0.
    #[error("[{0}] is not 80 bytes in lower-case hexadecimal")]
    Malformed(usize),
    /// Does not follow the header before it.
    #[error("[{0}] does not follow the header before it")]
    Unlinked(usize),
    /// Easier than the network allows, or than the floor for `bitcoin`.
    #[error("[{0}] has a difficulty below what {1} requires")]
    TooEasy(usize, Network),
    /// The hash is above the target that the header itself states.
    #[error("[{0}] has no proof of work")]
    NoWork(usize),
}

/// Reads headers.
pub(crate) fn decode_headers(texts: &[String]) -> Result<Vec<Header>, HeadersError> {
    let decode = |(index, text): (usize, &String)| {
        let bytes: [u8; 80] = strict_hex::decode_array(text).map_err(|_| HeadersError::Malformed(index))?;
        deserialize(&bytes).map_err(|_| HeadersError::Malformed(index))
    };
    texts.iter().enumerate().map(decode).collect()
}

/// Checks that each header follows the one before and carries the work it states, and that this is not too easy.
/// Whether the difficulty is exactly what the network's adjustment asks for cannot be told from a few headers.
pub(crate) fn check_work(headers: &[Header], network: Network) -> Result<(), HeadersError> {
    if headers.is_empty() {
        return Err(HeadersError::Empty);
    }
    let easiest = easiest_target(network);
    let mut before = None;
    for (index, header) in headers.iter().enumerate() {
        let hash = header.block_hash();
        if before.is_some_and(|before| header.prev_blockhash != before) {
            return Err(HeadersError::Unlinked(index));
        }
        let exponent = header.bits.to_consensus() >> 24;
        if exponent > MAX_EXPONENT || header.target() > easiest {
            return Err(HeadersError::TooEasy(index, network));
        }
        if !header.target().is_met_by(hash) {
            return Err(HeadersError::NoWork(index));
        }
        before = Some(hash);
    }
    Ok(())
}

fn easiest_target(network: Network) -> Target {
    match network {
        Network::Bitcoin => Target::from_compact(CompactTarget::from_consensus(MIN_BITCOIN_DIFFICULTY_BITS)),
        Network::Testnet4 | Network::Signet | Network::Regtest => {
            bitcoin::Network::from(network).params().max_attainable_target
        }
    }
}
