//! Many histories, all of which must keep the rules.
//!
//! `AILAYER_SIM_SEEDS=n` sets how many, `AILAYER_SIM_SEED=n` replays one and prints what happened in it.

use std::thread;

use ailayer_sim::{Seen, run_seed, run_seeds};

/// How many histories unless the environment says otherwise.
const SEEDS: u64 = 10_000;
/// Threads they are spread over.
const THREADS: u64 = 2;

/// A number from the environment. One that is none ends the test: whoever asks for a seed wants that seed.
fn number(name: &str) -> Result<Option<u64>, String> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| format!("{name}={text} is not a number"))
}

#[test]
fn no_history_breaks_a_rule() {
    if let Some(seed) = number("AILAYER_SIM_SEED").unwrap() {
        match run_seed(seed, None, true) {
            Ok(seen) => println!("seed {seed} keeps the rules: {seen:?}"),
            Err(failure) => panic!("{failure}"),
        }
        return;
    }
    let seeds = number("AILAYER_SIM_SEEDS").unwrap().unwrap_or(SEEDS);
    let threads: Vec<_> = (0..THREADS)
        .map(|first| {
            let every = usize::try_from(THREADS).unwrap();
            thread::spawn(move || run_seeds((first..seeds).step_by(every), None))
        })
        .collect();
    let mut seen = Seen::default();
    for thread in threads {
        match thread.join().unwrap() {
            Ok(some) => seen = seen.and(some),
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{seen:?}");
    assert_eq!(seen.seeds, seeds);
    if seeds >= SEEDS {
        assert_reaches_everything(&seen);
    }
}

/// Rules that are never put to the test are kept easily.
fn assert_reaches_everything(seen: &Seen) {
    assert!(seen.hold.iter().all(|jobs| *jobs > 10), "some end is hardly reached: {seen:?}");
    assert!(seen.prepaid[0] > 10 && seen.prepaid[2] > 10, "some end is hardly reached: {seen:?}");
    let sealed = [seen.acknowledged, seen.unacknowledged];
    assert!(sealed.iter().all(|jobs| *jobs > 10), "sealed answers hardly occur: {seen:?}");
    let others = [seen.voided, seen.retried, seen.credited, seen.returned, seen.suspense];
    assert!(others.iter().all(|count| *count > 0), "something is never reached: {seen:?}");
}

#[test]
fn a_seed_is_one_history() {
    for seed in 0..20 {
        assert_eq!(run_seed(seed, None, false).ok(), run_seed(seed, None, true).ok(), "seed {seed}");
    }
}
