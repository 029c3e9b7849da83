//! So many a minute: a bucket that fills steadily and holds one minute's worth.

use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// A limit a minute. Pure: told the time.
#[derive(Debug, Clone)]
pub struct Bucket {
    limit: u64,
    /// What is there, in parts: [`Self::PARTS`] are one. Below zero while a large request is being made up for.
    parts: i128,
    filled_at: Instant,
}

impl Bucket {
    const PARTS: i128 = MINUTE.as_nanos().cast_signed();

    /// Full.
    pub fn new(limit: u64, now: Instant) -> Self {
        Self { limit, parts: Self::parts_of(limit), filled_at: now }
    }

    /// Takes so many, or says when they will be there. What is more than a whole bucket is taken from a full one, which is
    /// then empty for as long as it takes to make up for all of it: a large request is not refused for ever, and not given
    /// away either.
    pub fn take(&mut self, count: u64, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let needed = Self::parts_of(count.min(self.limit));
        if self.parts >= needed {
            self.parts = self.parts.saturating_sub(Self::parts_of(count));
            return Ok(());
        }
        let missing = needed.saturating_sub(self.parts).unsigned_abs();
        let nanos = missing.div_ceil(u128::from(self.limit.max(1)));
        Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// As good as new: it can be forgotten.
    pub fn is_full(&self, now: Instant) -> bool {
        self.filled(now) >= Self::parts_of(self.limit)
    }

    fn fill(&mut self, now: Instant) {
        self.parts = self.filled(now);
        self.filled_at = now;
    }

    fn filled(&self, now: Instant) -> i128 {
        let passed = now.saturating_duration_since(self.filled_at).as_nanos();
        let flown = passed.saturating_mul(u128::from(self.limit));
        let flown = i128::try_from(flown).unwrap_or(i128::MAX);
        self.parts.saturating_add(flown).min(Self::parts_of(self.limit))
    }

    fn parts_of(count: u64) -> i128 {
        i128::from(count).saturating_mul(Self::PARTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_is_there_at_once_and_comes_back_steadily() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start);
        for _ in 0..60 {
            bucket.take(1, start).unwrap();
        }
        assert_eq!(bucket.take(1, start), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(2, start + Duration::from_millis(500)), Err(Duration::from_millis(1500)));
        bucket.take(1, start + Duration::from_secs(1)).unwrap();
        assert!(bucket.take(1, start + Duration::from_secs(1)).is_err());
        let later = start + Duration::from_secs(3600);
        assert!(bucket.is_full(later));
        bucket.take(60, later).unwrap();
        assert_eq!(bucket.take(60, later), Err(MINUTE), "no more than one minute is saved up");
    }

    #[test]
    fn more_than_a_minutes_worth_is_made_up_for_to_the_last_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        bucket.take(1_000, start).unwrap();
        assert_eq!(bucket.take(1_000, start), Err(MINUTE * 100));
        assert!(!bucket.is_full(start + MINUTE * 99), "what is owed is not forgotten");
        assert!(bucket.is_full(start + MINUTE * 100));
        bucket.take(10, start + MINUTE * 100).unwrap();
    }
}
