use proptest::prelude::*;

use super::*;

fn entry(work: u32, bytes: usize) -> Entry<u32> {
    Entry { work, bytes }
}

fn queue(max_entries: usize, max_bytes: usize) -> EntryQueue<u32> {
    EntryQueue::new(QueueLimits { max_entries, max_bytes })
}

const ALL_WAIT: fn(&u32) -> bool = |_| false;

#[test]
fn refuses_beyond_its_limits() {
    let mut queue = queue(2, 10);
    queue.push(entry(1, 6), ALL_WAIT).unwrap();
    assert!(queue.push(entry(2, 5), ALL_WAIT).is_err(), "bytes");
    queue.push(entry(3, 4), ALL_WAIT).unwrap();
    assert!(queue.push(entry(4, 0), ALL_WAIT).is_err(), "entries");
}

#[test]
fn a_single_large_entry_is_taken_when_nothing_else_waits() {
    let mut queue = queue(2, 10);
    queue.push(entry(1, 99), ALL_WAIT).unwrap();
    assert!(queue.push(entry(2, 0), ALL_WAIT).is_err());
}

#[test]
fn gone_callers_make_room_and_are_never_worked_on() {
    let mut queue = queue(2, 10);
    queue.push(entry(1, 5), ALL_WAIT).unwrap();
    queue.push(entry(2, 5), ALL_WAIT).unwrap();
    queue.push(entry(3, 5), |work| *work == 1).unwrap();
    assert_eq!(queue.pop(|work| *work == 2).map(|entry| entry.work), Some(3));
    assert_eq!(queue.len(), 0);
}

proptest! {
    /// Whatever happens, order is kept, limits hold, and the byte count is that of the entries.
    #[test]
    fn keeps_order_and_limits(steps in proptest::collection::vec((any::<bool>(), 0usize..6), 0..200)) {
        let mut queue = queue(4, 12);
        let (mut next, mut last) = (0, None);
        for (push, bytes) in steps {
            if push {
                next += 1;
                let _ = queue.push(entry(next, bytes), |work| work % 3 == 0);
            } else if let Some(entry) = queue.pop(|work| work % 3 == 0) {
                prop_assert!(entry.work % 3 != 0);
                prop_assert!(Some(entry.work) > last);
                last = Some(entry.work);
            }
            prop_assert!(queue.len() <= 4);
            prop_assert_eq!(queue.bytes, queue.entries.iter().map(|entry| entry.bytes).sum::<usize>());
            prop_assert!(queue.bytes <= 12);
        }
    }
}
