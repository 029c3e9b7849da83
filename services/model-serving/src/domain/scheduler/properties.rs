//! Against a naive model: a plain list of what waits.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    max_entries: 12,
    max_bytes: 100,
    max_age: Some(Duration::from_millis(40)),
    max_rows: 6,
    max_tokens: 60,
    max_delay: Duration::ZERO,
};

#[derive(Debug, Clone)]
enum Step {
    Push {
        key: Option<u8>,
        rows: usize,
        width: usize,
        bytes: usize,
        priority: u32,
        account: u8,
        patience: Option<u64>,
    },
    Next,
    Cancel(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![1 => Just(None), 5 => (0..2_u8).prop_map(Some)];
    let patience = prop_oneof![2 => Just(None), 1 => (0..30_u64).prop_map(Some)];
    let push = (key, 1..8_usize, 0..30_usize, 0..60_usize, 1..3_u32, 0..3_u8, patience).prop_map(
        |(key, rows, width, bytes, priority, account, patience)| Step::Push {
            key,
            rows,
            width,
            bytes,
            priority,
            account,
            patience,
        },
    );
    prop_oneof![6 => push, 3 => Just(Step::Next), 1 => (0..20_usize).prop_map(Step::Cancel), 1 => (0..20_u64).prop_map(Step::Wait)]
}

/// What the naive model knows of an entry that waits.
#[derive(Debug, Clone)]
struct Known {
    id: EntryId,
    number: usize,
    key: Option<u8>,
    rows: usize,
    width: usize,
    bytes: usize,
    priority: u32,
    account: u8,
    deadline: Option<Instant>,
    queued_at: Instant,
    bypassed: u32,
}

#[derive(Debug, Default)]
struct Naive {
    waiting: Vec<Known>,
}

impl Naive {
    /// Every entry leaves once.
    fn leave(&mut self, number: usize) -> Known {
        let place = self.waiting.iter().position(|known| known.number == number);
        self.waiting.remove(place.expect("an entry left that did not wait"))
    }

    fn dropped(&mut self, dropped: Vec<Dropped<usize>>, now: Instant) {
        for Dropped { work, reason } in dropped {
            let known = self.leave(work);
            match reason {
                // Nothing was measured: dropped at the deadline, not before.
                DropReason::Late | DropReason::OutOfTime => assert!(known.deadline.unwrap() <= now),
                DropReason::TooOld => assert!(known.queued_at + LIMITS.max_age.unwrap() <= now),
                DropReason::PushedOut => {}
            }
        }
    }

    fn batch(&mut self, batch: Batch<usize>, now: Instant) {
        let before = self.waiting.clone();
        let ran: Vec<Known> = batch.entries.iter().map(|ready| self.leave(ready.work)).collect();
        let (head, others) = ran.split_first().expect("a batch has an entry");
        let highest = before.iter().map(|known| known.priority).min();
        assert_eq!(Some(head.priority), highest, "the highest level goes first");
        let rows: usize = ran.iter().map(|known| known.rows).sum();
        let width = ran.iter().map(|known| known.width).max().unwrap();
        let tokens: usize = ran.iter().map(|known| known.rows * known.width).sum();
        assert_eq!((rows, width, tokens), (batch.rows, batch.width, batch.tokens));
        if !others.is_empty() {
            assert!(rows <= LIMITS.max_rows && rows * width <= LIMITS.max_tokens, "the budget holds");
            assert!(head.key.is_some() && others.iter().all(|known| known.key == head.key));
        }
        for known in &ran {
            assert!(known.deadline.is_none_or(|deadline| deadline > now), "nothing late runs");
            let alike = |other: &&Known| {
                (other.key, other.priority, other.account, other.width)
                    == (known.key, known.priority, known.account, known.width)
            };
            let skipped = self.waiting.iter().filter(alike).any(|other| other.id < known.id);
            assert!(!skipped, "in order within account, level and width");
        }
        // Nobody is passed over for ever: the oldest of the level that is served waits at most a few batches more.
        let oldest = self
            .waiting
            .iter_mut()
            .filter(|known| known.priority == head.priority)
            .min_by_key(|known| known.id);
        if let Some(oldest) = oldest.filter(|oldest| {
            before.iter().all(|other| other.priority != head.priority || other.id >= oldest.id)
        }) {
            oldest.bypassed += 1;
            assert!(oldest.bypassed <= 9, "starved");
        }
    }
}

fn run(steps: Vec<Step>) {
    let mut now = Instant::now();
    let mut queue: Scheduler<u8, usize> = Scheduler::new(LIMITS, 1, ServiceTimes::default());
    let mut naive = Naive::default();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Push { key, rows, width, bytes, priority, account, patience } => {
                let deadline = patience.map(|patience| now + Duration::from_millis(patience));
                let entry = Entry {
                    work: number,
                    key,
                    rows,
                    width,
                    bytes,
                    priority,
                    account: Arc::from(account.to_string()),
                    deadline,
                    queued_at: now,
                };
                let mut dropped = Vec::new();
                let taken = queue.push(vec![entry], now, &mut dropped);
                naive.dropped(dropped, now);
                let known = |id| Known {
                    id,
                    number,
                    key,
                    rows,
                    width,
                    bytes,
                    priority,
                    account,
                    deadline,
                    queued_at: now,
                    bypassed: 0,
                };
                match taken {
                    Ok(ids) => naive.waiting.extend(ids.into_iter().map(known)),
                    Err(Refusal::Late) => assert!(deadline.unwrap() <= now),
                    Err(Refusal::Overloaded { retry_after }) => {
                        assert!(!retry_after.is_zero());
                        let held: usize = naive.waiting.iter().map(|known| known.bytes).sum();
                        let full =
                            naive.waiting.len() == LIMITS.max_entries || held + bytes > LIMITS.max_bytes;
                        // Nothing was measured, so that all that is foretold is the way of the answer back.
                        let hasty =
                            patience.is_some_and(|patience| patience < 5) && !naive.waiting.is_empty();
                        assert!(full || hasty, "refused although there are room and time");
                    }
                }
            }
            Step::Next => {
                let next = queue.next(0, now);
                naive.dropped(next.dropped, now);
                assert_eq!(next.batch.is_none(), naive.waiting.is_empty(), "idle only if nothing waits");
                if let Some(batch) = next.batch {
                    let (rows, width) = (batch.rows, batch.width);
                    naive.batch(batch, now);
                    queue.finished(0, rows, width, None, now);
                }
            }
            Step::Cancel(index) => {
                if let Some(known) = naive.waiting.get(index).cloned() {
                    assert_eq!(queue.cancel(known.id), Some(naive.leave(known.number).number));
                    assert_eq!(queue.cancel(known.id), None);
                }
            }
            Step::Wait(millis) => now += Duration::from_millis(millis),
        }
        let bytes: usize = naive.waiting.iter().map(|known| known.bytes).sum();
        assert_eq!((queue.len(), queue.bytes), (naive.waiting.len(), bytes));
        assert!(queue.len() <= LIMITS.max_entries && (bytes <= LIMITS.max_bytes || queue.len() == 1));
    }
    // Nothing is lost: what waits still comes out.
    while let Some(batch) = queue.next(0, now - Duration::from_secs(1)).batch {
        naive.batch(batch, now - Duration::from_secs(1));
    }
    assert!(naive.waiting.is_empty());
    assert!(queue.levels.is_empty() && queue.expiries.is_empty() && queue.bytes == 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_a_plain_list_would(steps in proptest::collection::vec(step(), 0..120)) {
        run(steps);
    }
}
