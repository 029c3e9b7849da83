//! So many a minute: a bucket that fills steadily and holds one minute's worth.

use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// A limit a minute. Pure: told the time.
#[derive(Debug, Clone)]
pub struct Bucket {
    limit: u64,
    /// What is there, in parts: [`Self::PARTS`] are one.
    parts: u128,
    filled_at: Instant,
}

impl Bucket {
    const PARTS: u128 = MINUTE.as_nanos();

    /// Full.
    pub fn new(limit: u64, now: Instant) -> Self {
        Self { limit, parts: u128::from(limit).saturating_mul(Self::PARTS), filled_at: now }
    }

    /// Takes so many, or says when they will be there. What is more than a whole bucket is taken from a full one, which is
    /// empty for longer then: a large request is not refused for ever.
    pub fn take(&mut self, count: u64, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let wanted = u128::from(count.min(self.limit)).saturating_mul(Self::PARTS);
        if self.parts >= wanted {
            self.parts -= wanted;
            return Ok(());
        }
        let missing = wanted.saturating_sub(self.parts);
        let nanos = missing.div_ceil(u128::from(self.limit.max(1)));
        Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Nothing was taken for a minute.
    pub fn is_full(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.filled_at) >= MINUTE
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_nanos();
        let most = u128::from(self.limit).saturating_mul(Self::PARTS);
        self.parts = self.parts.saturating_add(passed.saturating_mul(u128::from(self.limit))).min(most);
        self.filled_at = now;
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
    fn more_than_a_minutes_worth_takes_the_whole_minute() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        bucket.take(1_000, start).unwrap();
        assert_eq!(bucket.take(1_000, start), Err(MINUTE));
    }
}
