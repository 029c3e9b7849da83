//! Compares the chain held with the one the server offers.

use ailayer_primitives::UnixS;
use bitcoin::block::Header;

use super::RoundError;
use crate::domain::block::{BlockRef, ChainEvent};
use crate::domain::header_chain::{Branch, HeaderChain, HeaderError};
use crate::ports::ElectrumSource;

/// Headers a server sends at once.
const HEADERS_A_CALL: u32 = 2_016;
/// Headers a branch may have before it must outweigh the chain. Bounds memory against an endless light branch.
const MAX_LIGHT_BRANCH: usize = 40_320;

/// What the server's chain is to ours.
#[derive(Debug)]
pub(super) enum Finding {
    /// The same, a part of it, or a branch without more work.
    CaughtUp,
    /// Lower than everything held, so that it cannot be compared.
    Behind {
        /// Where the server is.
        server_height: u32,
    },
    /// Ahead, or a branch with more work.
    Steps {
        /// From our chain to the server's.
        events: Vec<ChainEvent>,
        /// Why the server's next header was not taken as well.
        problem: Option<HeaderError>,
    },
    /// A chain that left ours deeper than allowed.
    TooDeep {
        /// What the server says its newest block is. Unchecked.
        server_tip: BlockRef,
    },
}

pub(super) async fn compare(
    chain: &HeaderChain,
    source: &dyn ElectrumSource,
    max_reorg_depth: u32,
    now: UnixS,
) -> Result<Finding, RoundError> {
    let server = source.tip().await?;
    if chain.at(server.height).is_some_and(|ours| ours.header == server.header) {
        return Ok(Finding::CaughtUp);
    }
    if server.height < chain.lowest_height() {
        return Ok(Finding::Behind { server_height: server.height });
    }
    // Nearly always the server's chain continues ours; only then look further back.
    let tip_height = chain.tip().height;
    let deepest = tip_height.saturating_sub(max_reorg_depth).max(chain.lowest_height());
    for start_height in [tip_height, deepest] {
        let headers = source.headers(start_height, HEADERS_A_CALL).await?;
        if let Some(fork) = chain.fork_point(start_height, &headers) {
            let known = fork.height.saturating_sub(start_height).saturating_add(1);
            let new = usize::try_from(known).ok().and_then(|known| headers.get(known..)).unwrap_or_default();
            return grow(chain, source, fork, new, now).await;
        }
    }
    let server_tip = BlockRef { block_hash: server.header.block_hash(), height: server.height };
    Ok(Finding::TooDeep { server_tip })
}

/// Checks the server's headers above the fork point, and fetches more while the branch is too light.
async fn grow(
    chain: &HeaderChain,
    source: &dyn ElectrumSource,
    fork: BlockRef,
    headers: &[Header],
    now: UnixS,
) -> Result<Finding, RoundError> {
    let mut branch = chain.branch_from(fork.height)?;
    let mut problem = connect_all(&mut branch, headers, now);
    while problem.is_none() && !branch.outweighs_chain() && branch.len() < MAX_LIGHT_BRANCH {
        let more = source.headers(branch.tip().height.saturating_add(1), HEADERS_A_CALL).await?;
        if more.is_empty() {
            break;
        }
        problem = connect_all(&mut branch, &more, now);
    }
    match (branch.into_events(), problem) {
        (Some(events), problem) => Ok(Finding::Steps { events, problem }),
        (None, Some(problem)) => Err(problem.into()),
        (None, None) => Ok(Finding::CaughtUp),
    }
}

/// Connects headers until one is refused, and says why it was. Those before it are good all the same.
fn connect_all(branch: &mut Branch<'_>, headers: &[Header], now: UnixS) -> Option<HeaderError> {
    headers.iter().find_map(|header| branch.connect(*header, now).err())
}
