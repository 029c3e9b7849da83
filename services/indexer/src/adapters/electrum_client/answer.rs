//! Reads the server's answers. Everything here comes from a stranger.
//!
//! Formats: Electrum protocol 1.4 to 1.6, `protocol-methods.rst` of spesmilo/electrum-protocol.

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::{BlockHash, Txid};
use serde_json::Value;

use crate::domain::fee::FeeRate;
use crate::domain::merkle::MerkleBranch;
use crate::ports::{HistoryEntry, SourceError, SourceTip};

/// More of a refusal than this is not worth keeping.
const MAX_REASON_CHARS: usize = 300;

fn malformed(what: &str) -> SourceError {
    SourceError::Malformed(what.to_owned())
}

fn text<'a>(value: &'a Value, what: &str) -> Result<&'a str, SourceError> {
    value.as_str().ok_or_else(|| malformed(what))
}

fn u32_of(value: Option<&Value>, what: &str) -> Result<u32, SourceError> {
    let number = value.and_then(Value::as_u64).ok_or_else(|| malformed(what))?;
    u32::try_from(number).map_err(|_| malformed(what))
}

fn list<'a>(value: Option<&'a Value>, what: &str) -> Result<&'a Vec<Value>, SourceError> {
    value.and_then(Value::as_array).ok_or_else(|| malformed(what))
}

fn header(bytes: &[u8]) -> Result<Header, SourceError> {
    deserialize(bytes).map_err(|_| malformed("a header is not 80 bytes"))
}

/// Hex text as bytes.
pub(super) fn bytes(value: &Value) -> Result<Vec<u8>, SourceError> {
    hex::decode(text(value, "hex expected")?).map_err(|_| malformed("hex expected"))
}

/// `server.features`.
pub(super) fn genesis_hash(value: &Value) -> Result<BlockHash, SourceError> {
    let hash = value.get("genesis_hash").and_then(Value::as_str);
    hash.and_then(|hash| hash.parse().ok()).ok_or_else(|| malformed("server.features has no genesis_hash"))
}

/// `blockchain.headers.subscribe`.
pub(super) fn tip(value: &Value) -> Result<SourceTip, SourceError> {
    let height = u32_of(value.get("height"), "tip height")?;
    let raw = bytes(value.get("hex").ok_or_else(|| malformed("tip header"))?)?;
    Ok(SourceTip { height, header: header(&raw)? })
}

/// `blockchain.block.headers`: a list from protocol 1.6 on, one run of hex before. Never more than `limit`.
pub(super) fn headers(value: &Value, limit: u32) -> Result<Vec<Header>, SourceError> {
    let headers: Vec<Header> = match value.get("headers") {
        Some(_) => list(value.get("headers"), "header list")?
            .iter()
            .map(|item| header(&bytes(item)?))
            .collect::<Result<_, _>>()?,
        None => {
            let raw = bytes(value.get("hex").ok_or_else(|| malformed("no headers"))?)?;
            raw.chunks(Header::SIZE).map(header).collect::<Result<_, _>>()?
        }
    };
    if usize::try_from(limit).is_ok_and(|limit| headers.len() > limit) {
        return Err(malformed("more headers than asked for"));
    }
    Ok(headers)
}

/// `blockchain.scripthash.get_history`. Heights 0 and -1 mean unconfirmed.
pub(super) fn history(value: &Value) -> Result<Vec<HistoryEntry>, SourceError> {
    list(Some(value), "history")?.iter().map(history_entry).collect()
}

fn history_entry(item: &Value) -> Result<HistoryEntry, SourceError> {
    let txid: Txid = item
        .get("tx_hash")
        .and_then(Value::as_str)
        .and_then(|txid| txid.parse().ok())
        .ok_or_else(|| malformed("history entry without txid"))?;
    let height = item.get("height").and_then(Value::as_i64).ok_or_else(|| malformed("history height"))?;
    let height = match height {
        -1 | 0 => None,
        other => Some(u32::try_from(other).map_err(|_| malformed("history height"))?),
    };
    Ok(HistoryEntry { txid, height })
}

/// `blockchain.transaction.get_merkle`. Hashes are written in display order.
pub(super) fn merkle_branch(value: &Value, height: u32) -> Result<MerkleBranch, SourceError> {
    if u32_of(value.get("block_height"), "proof height")? != height {
        return Err(malformed("proof for another height than asked for"));
    }
    let position = u32_of(value.get("pos"), "proof position")?;
    let siblings =
        list(value.get("merkle"), "proof hashes")?.iter().map(sibling).collect::<Result<_, _>>()?;
    Ok(MerkleBranch { position, siblings })
}

fn sibling(value: &Value) -> Result<[u8; 32], SourceError> {
    let mut hash: [u8; 32] = bytes(value)?.try_into().map_err(|_| malformed("proof hash is not 32 bytes"))?;
    hash.reverse();
    Ok(hash)
}

/// `blockchain.estimatefee`: BTC per 1000 virtual bytes, or -1 for "cannot say".
pub(super) fn fee_estimate(value: &Value) -> Result<Option<FeeRate>, SourceError> {
    if value.is_null() || value.as_f64().is_some_and(|rate| rate < 0.0) {
        return Ok(None);
    }
    fee_rate(value).map(Some)
}

/// `mempool.get_info`: what is relayed now is the larger of the two minima.
pub(super) fn mempool_minimum(value: &Value) -> Result<FeeRate, SourceError> {
    let read =
        |key| value.get(key).ok_or_else(|| malformed("mempool.get_info lacks a minimum")).and_then(fee_rate);
    Ok(read("mempoolminfee")?.max(read("minrelaytxfee")?))
}

/// `blockchain.relayfee`.
pub(super) fn relay_fee(value: &Value) -> Result<FeeRate, SourceError> {
    fee_rate(value)
}

fn fee_rate(value: &Value) -> Result<FeeRate, SourceError> {
    let number = value.as_f64().ok_or_else(|| malformed("fee rate is not a number"))?;
    // Rust prints a float without exponent and with the fewest digits that name it: the text the server meant.
    FeeRate::try_from_btc_per_kvb(&number.to_string())
        .map_err(|error| SourceError::Malformed(error.to_string()))
}

/// The sentence in an error object: one line, bounded, without the transaction that ElectrumX puts below it.
pub(super) fn reason(error: &Value) -> String {
    let message = error.get("message").and_then(Value::as_str);
    let message = message.map_or_else(|| error.to_string(), str::to_owned);
    let sentence = message.split("\n[").next().unwrap_or_default();
    let words: Vec<&str> = sentence.split_whitespace().collect();
    words.join(" ").chars().take(MAX_REASON_CHARS).collect()
}

/// Bitcoin Core's words, passed on by every server, and electrs' own.
pub(super) fn means_unknown_transaction(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["no such mempool", "no such transaction", "missing transaction", "transaction not found"]
        .iter()
        .any(|words| reason.contains(words))
}

/// A history longer than the server's limit.
pub(super) fn means_too_large(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    reason.contains("too large") || reason.contains("too long") || reason.contains("too many")
}

/// Bitcoin Core's words for a transaction that is in its mempool or chain already.
pub(super) fn means_already_known(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    [
        "already in mempool",
        "already-in-mempool",
        "already-known",
        "already known",
        "already in block chain",
        "already in blockchain",
        "already in utxo set",
    ]
    .iter()
    .any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests;
