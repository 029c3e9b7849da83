//! What one arm did.

use std::time::{Duration, Instant};

use crate::statistics::{median, quantile};

/// The timed part of an arm, after its warm-up.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Where it begins.
    pub begin: Instant,
    /// Where it ends.
    pub end: Instant,
}

impl Window {
    /// From `warm_up` after now, for `length`.
    pub fn after(warm_up: Duration, length: Duration) -> Self {
        let begin = Instant::now() + warm_up;
        Self { begin, end: begin + length }
    }
}

/// When a batch or a call was answered.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// The moment.
    pub at: Instant,
    /// The texts or operations answered with it.
    pub count: usize,
    /// From its send, or its scheduled send.
    pub latency: Duration,
}

/// One arm's figures.
#[derive(Debug, Clone, Default)]
pub struct ArmRun {
    /// Texts or operations a second.
    pub rate: f64,
    /// The latencies inside the window, in milliseconds.
    pub latencies_ms: Vec<f64>,
    /// The noise rule's two halves: the rate, or the median latency.
    pub halves: [f64; 2],
    /// Seconds on a core for each text or operation, at the side that is measured.
    pub server_seconds_each: f64,
    /// The same at the side that generates the load; 0 where nobody asks.
    pub client_seconds_each: f64,
    /// Calls that the server turned away because it had too much to do.
    pub refused: usize,
    /// The longest wait in the server's queue.
    pub oldest_wait: Duration,
    /// Rows, executions, tokens and padded tokens counted by the server meanwhile, where it counts them.
    pub counted: Option<crate::counters::Counters>,
}

impl ArmRun {
    /// The 99th percentile of the latencies in milliseconds.
    pub fn p99_ms(&self) -> f64 {
        quantile(&self.latencies_ms, 0.99)
    }

    /// The median of the latencies in milliseconds.
    pub fn p50_ms(&self) -> f64 {
        median(&self.latencies_ms)
    }

    /// A run whose rate counts.
    pub fn of_rate(done: &[Done], window: Window) -> Self {
        Self {
            rate: rate(done, window),
            latencies_ms: latencies_ms(done, window),
            halves: half_rates(done, window),
            ..Self::default()
        }
    }

    /// A run whose latencies count.
    pub fn of_latencies(done: &[Done], window: Window) -> Self {
        let latencies_ms = latencies_ms(done, window);
        let (first, second) = latencies_ms.split_at(latencies_ms.len() / 2);
        Self {
            rate: rate(done, window),
            halves: [median(first), median(second)],
            latencies_ms,
            ..Self::default()
        }
    }
}

/// Texts or operations a second within a window.
///
/// Answers come in bunches, one a batch: from the last answer before the window to the last one in it, no bunch
/// is cut in two, so the rate does not depend on where the window falls.
pub fn rate(done: &[Done], window: Window) -> f64 {
    let before = done.iter().map(|d| d.at).filter(|at| *at < window.begin).max();
    let Some(last) = done.iter().map(|d| d.at).filter(|at| *at < window.end).max() else { return 0.0 };
    let first = before.unwrap_or(window.begin);
    let count: usize = done.iter().filter(|d| first < d.at && d.at <= last).map(|d| d.count).sum();
    match last.checked_duration_since(first) {
        Some(time) if !time.is_zero() => count as f64 / time.as_secs_f64(),
        _ => 0.0,
    }
}

/// The rates of the two halves of a window.
pub fn half_rates(done: &[Done], window: Window) -> [f64; 2] {
    let middle = window.begin + (window.end - window.begin) / 2;
    [rate(done, Window { end: middle, ..window }), rate(done, Window { begin: middle, ..window })]
}

/// How many texts or operations were answered inside a window.
pub fn count(done: &[Done], window: Window) -> usize {
    done.iter().filter(|d| window.begin <= d.at && d.at < window.end).map(|d| d.count).sum()
}

/// Latencies in milliseconds of what ended inside a window.
pub fn latencies_ms(done: &[Done], window: Window) -> Vec<f64> {
    let inside = done.iter().filter(|d| window.begin <= d.at && d.at < window.end);
    inside.map(|d| d.latency.as_secs_f64() * 1e3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_does_not_depend_on_where_the_window_cuts() {
        let start = Instant::now();
        let bunches = (0..200_u32).flat_map(|bunch| {
            let at = start + Duration::from_millis(140) * bunch;
            [Done { at, count: 1, latency: Duration::ZERO }; 8]
        });
        let done: Vec<Done> = bunches.collect();
        for offset in [0, 30, 70, 139, 141] {
            let begin = start + Duration::from_millis(2_000 + offset);
            let window = Window { begin, end: begin + Duration::from_secs(10) };
            assert!((rate(&done, window) - 8.0 / 0.140).abs() < 1e-6, "{offset}");
        }
        assert_eq!(rate(&[], Window { begin: start, end: start }), 0.0);
    }
}
