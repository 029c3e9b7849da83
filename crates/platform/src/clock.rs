//! The wall clock. Pure code takes times as arguments; only edges read them here.

use std::time::{SystemTime, UNIX_EPOCH};

use ailayer_primitives::{UnixMs, UnixS};

/// Milliseconds since the Unix epoch; 0 if the clock stands before it.
pub fn now_ms() -> UnixMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// Seconds since the Unix epoch; 0 if the clock stands before it.
pub fn now_s() -> UnixS {
    now_ms().to_s()
}
