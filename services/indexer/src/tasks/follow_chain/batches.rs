//! Cuts steps into transactions.

use bitcoin::Work;

use crate::domain::block::ChainEvent;

/// Steps a transaction takes at most, unless a reorg needs more.
const BATCH: usize = 500;

/// Batches in order. A reorg and the blocks that justify it stay together: no commit leaves the chain with
/// less work than `current_work`.
pub(super) fn split(current_work: Work, events: &[ChainEvent]) -> impl Iterator<Item = &[ChainEvent]> {
    let justified = events
        .iter()
        .position(|event| matches!(event, ChainEvent::Connected(block) if block.chain_work > current_work));
    let together = justified.map_or(events.len(), |position| position.saturating_add(1));
    let (first, rest) = events.split_at_checked(together.max(BATCH)).unwrap_or((events, &[]));
    std::iter::once(first).filter(|batch| !batch.is_empty()).chain(rest.chunks(BATCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::block::ChainHeader;
    use bitcoin::hashes::Hash as _;

    fn block(work: u8) -> ChainHeader {
        let mut bytes = [0; 32];
        bytes[31] = work;
        let header = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
        ChainHeader {
            height: 0,
            block_hash: bitcoin::BlockHash::all_zeros(),
            header,
            chain_work: Work::from_be_bytes(bytes),
        }
    }

    fn lengths(current: u8, events: &[ChainEvent]) -> Vec<usize> {
        split(block(current).chain_work, events).map(<[ChainEvent]>::len).collect()
    }

    #[test]
    fn long_extensions_are_cut() {
        assert_eq!(lengths(1, &[]), Vec::<usize>::new());
        assert_eq!(lengths(1, &vec![ChainEvent::Connected(block(2)); 1_200]), [500, 500, 200]);
    }

    #[test]
    fn a_reorg_is_never_cut_before_it_has_more_work() {
        let mut events = vec![ChainEvent::Disconnected(block(9)); 400];
        events.extend(vec![ChainEvent::Connected(block(9)); 300]);
        events.extend(vec![ChainEvent::Connected(block(10)); 600]);
        assert_eq!(lengths(9, &events), [701, 500, 99]);
    }
}
