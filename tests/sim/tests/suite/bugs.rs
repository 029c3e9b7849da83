//! Deliberate mistakes, each of which must be found.

use ailayer_sim::{Bug, run_seed};

/// Histories within which a mistake must show.
const SEEDS: u64 = 2000;

#[test]
fn every_deliberate_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match (0..SEEDS).find_map(|seed| run_seed(seed, Some(bug), false).err()) {
            Some(failure) => {
                println!("{bug:?}: seed {}, step {}: {}", failure.seed, failure.step, failure.what);
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}
