//! Which seeds a test runs, and how one of them is run again.

use std::ops::Range;

/// A number from the environment. One that is none ends the test: whoever asks for a seed wants that seed.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// `AILAYER_GATEWAY_SEED` alone, else `AILAYER_GATEWAY_SEEDS` of them, else so many, from 1.
pub fn chosen(count: u64) -> Range<u64> {
    match number("AILAYER_GATEWAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("AILAYER_GATEWAY_SEEDS").unwrap_or(count) + 1,
    }
}
