//! The indexer's metrics.

use ailayer_platform::telemetry::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Instruments shared by follower and verifier.
pub struct Metrics {
    tip_height: Gauge,
    blocks: Counter,
    reorg_depth: Histogram,
    source_errors: Counter,
    refusals: Counter,
}

impl Metrics {
    /// Registers the instruments.
    pub fn new() -> Self {
        Self {
            tip_height: gauge("ailayer.indexer.tip_height", "{block}", "Height of the best chain"),
            blocks: counter("ailayer.indexer.blocks", "{block}", "Blocks connected and disconnected"),
            reorg_depth: histogram("ailayer.indexer.reorg_depth", "{block}", "Blocks a reorg disconnected"),
            source_errors: counter(
                "ailayer.indexer.source_errors",
                "{error}",
                "Failed calls of the follower to the Electrum server",
            ),
            refusals: counter(
                "ailayer.indexer.refusals",
                "{answer}",
                "Answers of the Electrum server that did not verify",
            ),
        }
    }

    /// Blocks were stored.
    pub fn committed(&self, connected: u64, disconnected: u64, tip_height: u32) {
        self.blocks.add(connected, &[("event", "connected")]);
        if disconnected > 0 {
            self.blocks.add(disconnected, &[("event", "disconnected")]);
            // Exact: a reorg has at most max_reorg_depth blocks.
            self.reorg_depth.record(u32::try_from(disconnected).map_or(f64::MAX, f64::from), &[]);
        }
        self.tip_height.set(i64::from(tip_height), &[]);
    }

    /// The follower got no answer.
    pub fn source_failed(&self) {
        self.source_errors.add(1, &[]);
    }

    /// The server said something that does not verify; `what` is `header`, `transaction`, `proof` or `history`.
    pub fn refused(&self, what: &'static str) {
        self.refusals.add(1, &[("what", what)]);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
