//! Whether a clock can be believed that may jump: the database's, which decides what has expired.
//!
//! A clock that jumps ahead would end at once all that waits. So it is held against this process's own monotonic clock, and what is
//! believed follows a jump at half as fast again as time passes: what waits has time to end as it should, or the clock to be put
//! right. A clock that is put back is believed at once.

use std::time::{Duration, Instant};

use ailayer_primitives::UnixMs;

/// What a clock may be ahead of what it said before, and the time that has passed since, without having jumped.
pub const TOLERANCE: Duration = Duration::from_secs(10);

/// What is believed of a clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SteadyClock {
    /// The time that was believed, and when that was.
    last: Option<(Instant, UnixMs)>,
    ahead: Duration,
}

impl SteadyClock {
    /// Learns what the clock says. The first word is believed.
    pub fn hear(&mut self, at: Instant, said: UnixMs) {
        let Some((since, last)) = self.last else {
            self.last = Some((at, said));
            return;
        };
        let passed = at.saturating_duration_since(since);
        let expected = later(last, passed);
        let believed = match said <= later(expected, TOLERANCE) {
            true => said,
            false => said.min(later(expected, passed / 2)),
        };
        self.ahead = Duration::from_millis(said.0.saturating_sub(believed.0));
        self.last = Some((at, believed));
    }

    /// The latest time that is believed now; none before anything was heard.
    pub fn latest(&self, now: Instant) -> Option<UnixMs> {
        let (since, last) = self.last?;
        Some(later(later(last, now.saturating_duration_since(since)), TOLERANCE))
    }

    /// How far the clock was ahead of what is believed, when it was heard last.
    pub const fn ahead(&self) -> Duration {
        self.ahead
    }

    /// How long ago it was heard; none before the first time.
    pub fn silent_for(&self, now: Instant) -> Option<Duration> {
        self.last.map(|(since, _)| now.saturating_duration_since(since))
    }

    /// The time that what was written at `written` goes by, when the clock says `said`. What was written behind a jump goes by the
    /// clock that has jumped.
    pub fn time_for(&self, now: Instant, said: UnixMs, written: UnixMs) -> UnixMs {
        self.latest(now).filter(|latest| written <= *latest).map_or(said, |latest| said.min(latest))
    }
}

fn later(time: UnixMs, by: Duration) -> UnixMs {
    UnixMs(time.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> UnixMs {
        UnixMs(seconds * 1000)
    }

    #[test]
    fn a_clock_that_goes_as_it_should_is_believed() {
        let (mut clock, begin) = (SteadyClock::default(), Instant::now());
        assert_eq!(clock.latest(begin), None);
        assert_eq!(clock.time_for(begin, at(7), at(1)), at(7), "before the first word");
        for second in 0..100 {
            // A little too fast, and heard late now and then.
            clock.hear(begin + SECOND * second, at(1_000 + u64::from(second) + u64::from(second % 3)));
            assert_eq!(clock.ahead(), Duration::ZERO);
        }
        assert_eq!(clock.time_for(begin + SECOND * 99, at(1_099), at(1)), at(1_099));
    }

    #[test]
    fn a_long_silence_is_no_jump() {
        let (mut clock, begin) = (SteadyClock::default(), Instant::now());
        clock.hear(begin, at(1_000));
        assert_eq!(clock.time_for(begin + HOUR, at(4_600), at(1_000)), at(4_600));
        clock.hear(begin + HOUR, at(4_600));
        assert_eq!(clock.ahead(), Duration::ZERO);
    }

    #[test]
    fn a_jump_ahead_is_followed_slowly_and_at_last() {
        let (mut clock, begin) = (SteadyClock::default(), Instant::now());
        clock.hear(begin, at(1_000));
        let jumped = |second: u64| at(1_000 + 3_600 + second);
        // Also before it was heard.
        assert_eq!(clock.time_for(begin + SECOND, jumped(1), at(1_000)), at(1_011));
        let mut caught_up = None;
        for second in 1..8_000u64 {
            let now = begin + SECOND * u32::try_from(second).unwrap();
            clock.hear(now, jumped(second));
            let believed = clock.latest(now).unwrap();
            // Ten are not made up before they are believed, and ten are believed ahead.
            assert!(believed <= at(1_000 + second + second / 2 + 21), "after {second} s: {believed:?}");
            if clock.ahead() == Duration::ZERO && caught_up.is_none() {
                caught_up = Some(second);
            }
        }
        // Half a second is made up a second.
        assert_eq!(caught_up, Some(7_180 + 1));
    }

    #[test]
    fn what_was_written_behind_a_jump_goes_by_the_new_time() {
        let (mut clock, begin) = (SteadyClock::default(), Instant::now());
        clock.hear(begin, at(1_000));
        clock.hear(begin + SECOND, at(4_601));
        assert_eq!(clock.ahead(), Duration::from_millis(3_599_500));
        assert_eq!(clock.time_for(begin + SECOND * 2, at(4_602), at(4_601)), at(4_602));
    }

    #[test]
    fn a_clock_that_is_put_back_is_believed_at_once() {
        let (mut clock, begin) = (SteadyClock::default(), Instant::now());
        clock.hear(begin, at(10_000));
        clock.hear(begin + SECOND, at(6_401));
        assert_eq!(clock.ahead(), Duration::ZERO);
        assert_eq!(clock.time_for(begin + SECOND, at(6_401), at(6_000)), at(6_401));
        // Also one that had jumped ahead before.
        clock.hear(begin + SECOND * 2, at(10_002));
        assert!(clock.ahead() > HOUR - SECOND);
        clock.hear(begin + SECOND * 3, at(6_403));
        assert_eq!(clock.ahead(), Duration::ZERO);
    }
}
