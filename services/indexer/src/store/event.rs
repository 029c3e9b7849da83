//! How a chain event is written into the log: `height (4 bytes, big endian) || header (80 bytes) || chain_work (32, big endian)`.

use ailayer_store::StoreError;
use bitcoin::Work;
use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};

use crate::domain::block::{ChainEvent, ChainHeader};

const CONNECTED: &str = "block_connected";
const DISCONNECTED: &str = "block_disconnected";

pub(super) const fn kind(event: &ChainEvent) -> &'static str {
    match event {
        ChainEvent::Connected(_) => CONNECTED,
        ChainEvent::Disconnected(_) => DISCONNECTED,
    }
}

pub(super) fn encode(event: &ChainEvent) -> Vec<u8> {
    let block = event.block();
    let mut payload = block.height.to_be_bytes().to_vec();
    payload.extend(serialize(&block.header));
    payload.extend(block.chain_work.to_be_bytes());
    payload
}

/// Reads back what [`encode`] wrote; anything else is damage.
pub(super) fn decode(kind: &str, payload: &[u8]) -> Result<ChainEvent, StoreError> {
    let corrupt = || StoreError::Corrupt(format!("event of kind {kind:?} does not decode"));
    let (height, rest) = payload.split_first_chunk::<4>().ok_or_else(corrupt)?;
    let (raw, work) = rest.split_at_checked(Header::SIZE).ok_or_else(corrupt)?;
    let header: Header = deserialize(raw).map_err(|_| corrupt())?;
    let work: [u8; 32] = work.try_into().map_err(|_| corrupt())?;
    let block = ChainHeader {
        height: u32::from_be_bytes(*height),
        block_hash: header.block_hash(),
        header,
        chain_work: Work::from_be_bytes(work),
    };
    match kind {
        CONNECTED => Ok(ChainEvent::Connected(block)),
        DISCONNECTED => Ok(ChainEvent::Disconnected(block)),
        _ => Err(corrupt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_round_trip_and_damage_is_seen() {
        let header = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
        let block = ChainHeader::base(7, header);
        for event in [ChainEvent::Connected(block), ChainEvent::Disconnected(block)] {
            let payload = encode(&event);
            assert_eq!(decode(kind(&event), &payload).unwrap(), event);
            assert!(decode(kind(&event), &payload[1..]).is_err());
            assert!(decode("block_eaten", &payload).is_err());
        }
    }
}
