//! The event log: what happened, in the order of its commits.

use ailayer_store::{StoreError, Tx, event_log};
use uuid::Uuid;

use super::Rows;
use crate::domain::event::Event;
use crate::rpc::event_codec;

/// One entry as it was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The place in the log, from 1, without gaps.
    pub cursor: u64,
    /// Consumers drop repeats by it.
    pub event_id: Uuid,
    /// When it was recorded, Unix milliseconds.
    pub recorded_unix_ms: u64,
    /// The encoded event.
    pub payload: Vec<u8>,
}

/// Appends an event to the log in the transaction that makes it true.
pub async fn append_in_tx(tx: &mut Tx, event: &Event) -> Result<(), StoreError> {
    event_log::append_in_tx(tx, Uuid::now_v7(), event.kind(), &event_codec::encode(event)).await?;
    Ok(())
}

/// At most `limit` entries after `cursor`.
pub async fn read_after(rows: &Rows, cursor: u64, limit: u32) -> Result<Vec<Recorded>, StoreError> {
    let events = event_log::read_after(rows.pool(), cursor, limit).await?;
    Ok(events
        .into_iter()
        .map(|event| Recorded {
            cursor: event.cursor,
            event_id: event.event_id,
            recorded_unix_ms: event.recorded_unix_ms,
            payload: event.payload,
        })
        .collect())
}

/// The cursor of the newest entry; 0 for an empty log.
pub async fn head(rows: &Rows) -> Result<u64, StoreError> {
    event_log::head(rows.pool()).await
}
