//! What a run takes, by rows and width: measured, never guessed.

use std::time::Duration;

/// Rows and widths are told apart by powers of two, up to these.
const ROW_BUCKETS: usize = 13;
const WIDTH_BUCKETS: usize = 17;
/// A new measurement counts for an eighth.
const WEIGHT: u64 = 8;
/// A smaller batch is as good as a larger one if a row takes at most this much longer, in hundredths: it answers
/// sooner, and leaves others to be prepared while it runs.
const AS_GOOD: u64 = 103;

/// Moving averages of the time a row takes, by the rows of its batch and its width.
#[derive(Debug, Clone)]
pub struct ServiceTimes {
    /// Picoseconds a row and token; 0 where nothing was measured.
    cells: [[u64; WIDTH_BUCKETS]; ROW_BUCKETS],
}

impl Default for ServiceTimes {
    fn default() -> Self {
        Self { cells: [[0; WIDTH_BUCKETS]; ROW_BUCKETS] }
    }
}

impl ServiceTimes {
    /// A run of `rows` rows, padded to `width`, took `time`.
    pub fn record(&mut self, rows: usize, width: usize, time: Duration) {
        let size = units(rows, width);
        let picos =
            u64::try_from(time.as_nanos().saturating_mul(1000) / u128::from(size)).unwrap_or(u64::MAX).max(1);
        let (row, column) = (bucket(rows, ROW_BUCKETS), bucket(width, WIDTH_BUCKETS));
        if let Some(cell) = self.cells.get_mut(row).and_then(|cells| cells.get_mut(column)) {
            *cell = match *cell {
                0 => picos,
                old => old / WEIGHT * (WEIGHT - 1) + (old % WEIGHT) * (WEIGHT - 1) / WEIGHT + picos / WEIGHT,
            }
            .max(1);
        }
    }

    /// What such a run should take; from the nearest sizes if it was not measured, none if nothing was.
    pub fn estimate(&self, rows: usize, width: usize) -> Option<Duration> {
        let (row, column) = (bucket(rows, ROW_BUCKETS), bucket(width, WIDTH_BUCKETS));
        let picos = self.nearest(row, column)?;
        Some(Duration::from_nanos(picos.saturating_mul(units(rows, width)) / 1000))
    }

    /// What rows of a width take in batches of the best size.
    pub fn row_time(&self, rows: usize, width: usize, max_rows: usize) -> Option<Duration> {
        let best = self.best_rows(width, max_rows);
        let batch = self.estimate(best, width)?;
        let rows = u32::try_from(rows.max(1)).unwrap_or(u32::MAX);
        let best = u32::try_from(best.max(1)).unwrap_or(u32::MAX);
        Some((batch / best).saturating_mul(rows))
    }

    /// The smallest batch that is as good as the best: at most `max_rows`, and that where nothing was measured.
    pub fn best_rows(&self, width: usize, max_rows: usize) -> usize {
        let column = bucket(width, WIDTH_BUCKETS);
        let most = bucket(max_rows, ROW_BUCKETS);
        let measured = |row: usize| self.cell(row, column).filter(|picos| *picos > 0);
        let Some(best) = (0..=most).filter_map(measured).min() else { return max_rows };
        let limit = best.saturating_mul(AS_GOOD) / 100;
        match (0..=most).find(|row| measured(*row).is_some_and(|picos| picos <= limit)) {
            // The last size may hold more than was tried: what was not measured is not ruled out.
            Some(row) if row < most && measured(most).is_some() => 1 << row,
            Some(row)
                if row < most && (row.saturating_add(1)..most).any(|larger| measured(larger).is_some()) =>
            {
                1 << row
            }
            _ => max_rows,
        }
    }

    fn nearest(&self, row: usize, column: usize) -> Option<u64> {
        let mut best: Option<(usize, u64)> = None;
        for (other_row, cells) in self.cells.iter().enumerate() {
            for (other_column, picos) in cells.iter().enumerate().filter(|(_, picos)| **picos > 0) {
                // Another width tells more about a size than another number of rows does.
                let distance = row.abs_diff(other_row).saturating_mul(4) + column.abs_diff(other_column);
                if best.is_none_or(|(nearest, _)| distance < nearest) {
                    best = Some((distance, *picos));
                }
            }
        }
        best.map(|(_, picos)| picos)
    }

    fn cell(&self, row: usize, column: usize) -> Option<u64> {
        self.cells.get(row).and_then(|cells| cells.get(column)).copied()
    }
}

/// 0 for 0 and 1, 1 for 2, 2 for 3 and 4, 3 for 5 to 8, and so on.
fn bucket(number: usize, buckets: usize) -> usize {
    let log = usize::BITS.saturating_sub(number.saturating_sub(1).leading_zeros());
    usize::try_from(log).unwrap_or(usize::MAX).min(buckets.saturating_sub(1))
}

fn units(rows: usize, width: usize) -> u64 {
    u64::try_from(rows.max(1).saturating_mul(width.max(1))).unwrap_or(u64::MAX)
}
