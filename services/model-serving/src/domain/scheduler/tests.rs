use std::sync::Arc;

use super::*;

const LIMITS: Limits = Limits {
    max_entries: 10_000,
    max_bytes: usize::MAX,
    max_age: None,
    max_rows: 8,
    max_tokens: 16_384,
    max_delay: Duration::ZERO,
};

fn text(work: usize, width: usize, account: &str, now: Instant) -> Entry<(), usize> {
    let account = Arc::from(account);
    Entry {
        work,
        key: Some(()),
        rows: 1,
        width,
        bytes: 1,
        priority: 1,
        account,
        deadline: None,
        queued_at: now,
    }
}

fn push(queue: &mut Scheduler<(), usize>, entry: Entry<(), usize>, now: Instant) -> Result<EntryId, Refusal> {
    queue.push(vec![entry], now, &mut Vec::new()).map(|ids| ids[0])
}

fn works(next: Next<usize>) -> Vec<usize> {
    next.batch.map(|batch| batch.entries.into_iter().map(|ready| ready.work).collect()).unwrap_or_default()
}

/// Lengths as log-normal as they need to be: median 24, the 95th percentile at 128, cut there.
fn lengths() -> impl Iterator<Item = usize> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
    };
    std::iter::repeat_with(move || {
        let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        let length = (24.0_f64.ln() + normal * (128.0_f64 / 24.0).ln() / 1.645).exp().clamp(3.0, 128.0);
        // Within 3 and 128.
        (3..=128).find(|whole| f64::from(u32::try_from(*whole).unwrap()) >= length).unwrap_or(128)
    })
}

/// 32 callers in a closed loop: answers of a batch come back as new texts one batch later.
#[test]
fn padding_stays_below_a_tenth_under_saturation_and_nobody_waits_long() {
    let now = Instant::now();
    let mut queue = Scheduler::new(LIMITS, 1, ServiceTimes::default());
    let mut lengths = lengths();
    let (mut tokens, mut padded, mut rows, mut batches) = (0, 0, 0, 0);
    for _ in 0..32 {
        push(&mut queue, text(0, lengths.next().unwrap(), "", now), now).unwrap();
    }
    let mut returning = 0;
    while rows < 5000 {
        let batch = queue.next(0, now).batch.unwrap();
        (tokens, padded) = (tokens + batch.tokens, padded + batch.rows * batch.width);
        (rows, batches) = (rows + batch.rows, batches + 1);
        for ready in &batch.entries {
            assert!(batches - ready.work <= 24, "waited for {} batches", batches - ready.work);
        }
        for _ in 0..std::mem::replace(&mut returning, batch.rows) {
            push(&mut queue, text(batches, lengths.next().unwrap(), "", now), now).unwrap();
        }
        queue.finished(0, batch.rows, batch.width, None, now);
    }
    assert!(padded * 100 <= tokens * 110, "{padded} padded, {tokens} tokens");
    assert!(rows >= 4 * batches, "{rows} rows in {batches} batches");
}

#[test]
fn an_account_with_little_does_not_wait_for_one_with_much() {
    let now = Instant::now();
    let mut queue = Scheduler::new(Limits { max_rows: 1, ..LIMITS }, 1, ServiceTimes::default());
    for work in 0..100 {
        push(&mut queue, text(work, 16, "much", now), now).unwrap();
    }
    assert_eq!(works(queue.next(0, now)), [0]);
    for work in 100..103 {
        push(&mut queue, text(work, 16, "little", now), now).unwrap();
    }
    let order: Vec<usize> = (0..6).flat_map(|_| works(queue.next(0, now))).collect();
    assert!([100, 101, 102].iter().all(|work| order.contains(work)), "{order:?}");
}

/// A stream of accounts that are always due first must not hold the oldest entry back.
#[test]
fn new_accounts_do_not_starve_an_old_entry() {
    let now = Instant::now();
    let mut queue = Scheduler::new(Limits { max_rows: 1, ..LIMITS }, 1, ServiceTimes::default());
    for work in 0..3 {
        push(&mut queue, text(work, 1000, "old", now), now).unwrap();
    }
    let mut ran = Vec::new();
    for work in 3..60 {
        push(&mut queue, text(work, 1, &format!("new {work}"), now), now).unwrap();
        push(&mut queue, text(work, 1, &format!("newer {work}"), now), now).unwrap();
        ran.extend(works(queue.next(0, now)));
    }
    assert!([0, 1, 2].iter().all(|work| ran.contains(work)), "{ran:?}");
}

#[test]
fn a_text_that_cannot_be_answered_in_time_is_refused_with_a_time_to_retry() {
    let now = Instant::now();
    let mut times = ServiceTimes::default();
    times.record(1, 16, Duration::from_millis(10));
    let mut queue = Scheduler::new(Limits { max_rows: 1, ..LIMITS }, 1, times);
    for work in 0..20 {
        push(&mut queue, text(work, 16, "", now), now).unwrap();
    }
    let within =
        |millis| Entry { deadline: Some(now + Duration::from_millis(millis)), ..text(20, 16, "", now) };
    let Err(Refusal::Overloaded { retry_after }) = push(&mut queue, within(150), now) else {
        panic!("taken")
    };
    assert!((Duration::from_millis(100)..Duration::from_secs(1)).contains(&retry_after), "{retry_after:?}");
    assert!(push(&mut queue, within(300), now).is_ok());
    assert_eq!(push(&mut queue, within(0), now), Err(Refusal::Late));
    // Whoever is due at once has nothing to wait for but what runs.
    assert!(push(&mut queue, Entry { account: "other".into(), ..within(150) }, now).is_ok());
    assert!(push(&mut queue, Entry { priority: 0, ..within(150) }, now).is_ok());
}

#[test]
fn late_entries_are_dropped_before_they_cost_anything() {
    let now = Instant::now();
    let mut times = ServiceTimes::default();
    times.record(1, 16, Duration::from_millis(10));
    let mut queue = Scheduler::new(LIMITS, 1, times);
    let deadline = Some(now + Duration::from_millis(50));
    push(&mut queue, Entry { deadline, ..text(1, 16, "", now) }, now).unwrap();
    // 45 ms have gone: the run would take 10.
    let next = queue.next(0, now + Duration::from_millis(45));
    assert!(next.batch.is_none());
    assert_eq!(
        next.dropped.first().map(|dropped| (dropped.work, dropped.reason)),
        Some((1, DropReason::OutOfTime))
    );
}

/// A batch that ends for all its entries at once must not end too late for one of them.
#[test]
fn nobody_joins_a_batch_that_would_make_another_late() {
    let now = Instant::now();
    let mut times = ServiceTimes::default();
    for (rows, millis) in [(1, 10), (2, 20), (4, 40), (8, 72)] {
        times.record(rows, 16, Duration::from_millis(millis));
    }
    let mut queue = Scheduler::new(LIMITS, 1, times);
    let within = |work, millis| Entry {
        deadline: Some(now + Duration::from_millis(millis)),
        ..text(work, 16, "", now)
    };
    push(&mut queue, within(0, 30), now).unwrap();
    for work in 1..8 {
        push(&mut queue, within(work, 1000), now).unwrap();
    }
    // Eight are the cheapest, and would take 72 ms.
    assert_eq!(works(queue.next(0, now)), [0, 1]);
    assert_eq!(works(queue.next(0, now)), [2, 3, 4, 5, 6, 7]);
}

/// The table may be right about runs and wrong about waits: whatever else the machine does is in no run.
#[test]
fn admission_learns_from_how_long_calls_really_took() {
    let mut now = Instant::now();
    let (run, really) = (Duration::from_millis(10), Duration::from_millis(15));
    let mut times = ServiceTimes::default();
    times.record(1, 16, run);
    let mut queue = Scheduler::new(Limits { max_rows: 1, ..LIMITS }, 1, times);
    let patience = Duration::from_millis(300);
    let (mut taken, mut late) = (0, 0);
    for work in 0..4000 {
        let deadline = Some(now + patience);
        // Three arrive for one that is served.
        for _ in 0..3 {
            taken +=
                usize::from(push(&mut queue, Entry { deadline, ..text(work, 16, "", now) }, now).is_ok());
        }
        let next = queue.next(0, now);
        now += really;
        for ready in next.batch.iter().flat_map(|batch| &batch.entries) {
            late += usize::from(now > ready.queued_at + patience);
        }
        late += next.dropped.len();
        queue.finished(0, 1, 16, Some(run), now);
    }
    assert!(taken >= 4000, "the instance was idle: {taken}");
    assert!(late <= 40, "{late} of {taken} were too late");
}

/// A call that finds no room must not have pushed others out.
#[test]
fn who_is_refused_has_pushed_nobody_out() {
    let now = Instant::now();
    let limits = Limits { max_entries: 4, max_bytes: 40, ..LIMITS };
    let mut queue = Scheduler::new(limits, 1, ServiceTimes::default());
    for work in 0..4 {
        push(&mut queue, Entry { bytes: 10, ..text(work, 16, "much", now) }, now).unwrap();
    }
    let urgent = |bytes| Entry { bytes, priority: 0, ..text(9, 16, "little", now) };
    push(&mut queue, urgent(20), now).unwrap();
    assert_eq!(queue.len(), 3);
    let mut dropped = Vec::new();
    // Two of ten bytes could go, which is too little beside the urgent one.
    assert!(queue.push(vec![urgent(30)], now, &mut dropped).is_err());
    assert!(queue.push(vec![urgent(10), urgent(20)], now, &mut dropped).is_err());
    assert_eq!((dropped.len(), queue.len()), (0, 3));
    assert_eq!(queue.push(vec![urgent(10), urgent(10)], now, &mut dropped).unwrap().len(), 2);
    assert_eq!(dropped.iter().map(|gone| gone.work).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn an_idle_instance_waits_for_company_only_if_told_to() {
    let now = Instant::now();
    let delay = Duration::from_millis(5);
    let mut queue =
        Scheduler::new(Limits { max_delay: delay, max_rows: 2, ..LIMITS }, 1, ServiceTimes::default());
    push(&mut queue, text(1, 4, "", now), now).unwrap();
    let next = queue.next(0, now);
    assert_eq!((next.wake_at, next.batch.is_none()), (Some(now + delay), true));
    assert_eq!(works(queue.next(0, now + delay)), [1]);
    push(&mut queue, text(2, 4, "", now), now).unwrap();
    push(&mut queue, text(3, 4, "", now), now).unwrap();
    assert_eq!(works(queue.next(0, now)), [2, 3]);
}

#[test]
fn batches_are_as_large_as_pays() {
    let mut times = ServiceTimes::default();
    assert_eq!(times.best_rows(128, 16), 16, "what was not measured is not ruled out");
    let record = |times: &mut ServiceTimes, width, millis: [u64; 5]| {
        for (rows, millis) in [1, 2, 4, 8, 16].into_iter().zip(millis) {
            times.record(rows, width, Duration::from_millis(millis));
        }
    };
    record(&mut times, 128, [20, 39, 78, 180, 400]);
    record(&mut times, 16, [4, 5, 8, 12, 20]);
    assert!(times.best_rows(128, 16) <= 4, "larger ones lose");
    assert_eq!(times.best_rows(16, 16), 16);
    assert_eq!(times.best_rows(16, 4), 4);
    let estimate = times.estimate(8, 128).unwrap();
    assert!((Duration::from_millis(179)..=Duration::from_millis(181)).contains(&estimate), "{estimate:?}");
    for _ in 0..100 {
        times.record(8, 128, Duration::from_millis(90));
    }
    let estimate = times.estimate(8, 128).unwrap();
    assert!((Duration::from_millis(89)..=Duration::from_millis(91)).contains(&estimate), "{estimate:?}");
}
