//! Fills the table of service times before a model is ready.

use std::time::{Duration, Instant};

use super::backend::Work;
use crate::cancel::CancelToken;
use crate::domain::scheduler::ServiceTimes;
use crate::domain::text::EncodedText;
use crate::scheduler::Runner;

/// The widths that are tried; wider ones are learned while serving.
const WIDTHS: [usize; 5] = [8, 16, 32, 64, 128];
/// No further size is tried after so long.
const MOST_TIME: Duration = Duration::from_secs(3);

/// Runs batches of texts of all sizes, small ones first; each twice, for the first one finds cold memory.
pub(super) fn measure_texts<R: Runner<Work = Work>>(
    runner: &mut R,
    max_rows: usize,
    max_width: usize,
    cancel: &CancelToken,
) -> ServiceTimes {
    let mut times = ServiceTimes::default();
    let started = Instant::now();
    let rows =
        std::iter::successors(Some(1_usize), |rows| rows.checked_mul(2)).take_while(|rows| *rows <= max_rows);
    for rows in rows {
        for width in WIDTHS.into_iter().filter(|width| *width <= max_width.max(8)) {
            if started.elapsed() > MOST_TIME || cancel.is_cancelled() {
                return times;
            }
            let width = width.min(max_width);
            let batch = batch_of(rows, width);
            let batch: Vec<&Work> = batch.iter().collect();
            let mut best: Option<Duration> = None;
            for _ in 0..2 {
                let since = Instant::now();
                // A size that fails says nothing about time; serving will find out whose fault it is.
                if runner.run(&batch, cancel).is_err() {
                    return times;
                }
                let time = since.elapsed();
                best = Some(best.map_or(time, |best| best.min(time)));
            }
            if let Some(time) = best {
                times.record(rows, width, time);
            }
        }
    }
    times
}

/// Runs one batch of texts, whatever comes of it.
pub(super) fn run_batch<R: Runner<Work = Work>>(
    runner: &mut R,
    rows: usize,
    width: usize,
    cancel: &CancelToken,
) {
    let batch = batch_of(rows, width);
    drop(runner.run(&batch.iter().collect::<Vec<_>>(), cancel));
}

fn batch_of(rows: usize, width: usize) -> Vec<Work> {
    let text = || {
        let (ids, type_ids) = (vec![1; width], vec![0; width]);
        Work::Text(EncodedText { ids, type_ids, offsets: Vec::new(), truncated: false })
    };
    (0..rows).map(|_| text()).collect()
}
