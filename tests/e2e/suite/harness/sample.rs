//! Which of the scenarios that are too many for every run are drawn for this one.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The environment variable that names the seed of an earlier run, to draw the same again.
const VARIABLE: &str = "AILAYER_E2E_SEED";

/// Draws. Another run draws others, so that all get their turn; the seed is printed.
#[derive(Debug)]
pub struct Sample {
    seed: u64,
    state: u64,
}

impl Sample {
    /// With the seed of the environment, or one of the clock's.
    ///
    /// # Errors
    /// A seed that is no number: whoever asks for one wants that one.
    pub fn from_environment() -> Result<Self, String> {
        let seed = match std::env::var(VARIABLE) {
            Ok(text) => text.parse().map_err(|_| format!("{VARIABLE}={text} is not a number"))?,
            Err(_) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::from(now.subsec_micros())
            }
        };
        Ok(Self { seed, state: seed })
    }

    /// `count` of the numbers below `bound`, or all of them if there are no more.
    pub fn draw(&mut self, count: usize, bound: usize) -> BTreeSet<usize> {
        let mut drawn = BTreeSet::new();
        while drawn.len() < count.min(bound) {
            let bound = u64::try_from(bound).unwrap_or(u64::MAX);
            drawn.extend(usize::try_from(self.next() % bound));
        }
        drawn
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "with a sample of the crashes ({VARIABLE}={} draws the same)", self.seed)
    }
}
