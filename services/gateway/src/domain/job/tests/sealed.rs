//! Sealed answers: the rows of the table that differ, and the limits.

use super::*;

const APPENDED_AT: u64 = 3_000;

/// A sealed job as its history would have left it, unacknowledged while that is possible.
fn sealed(state: State) -> Job {
    let reached = |states: &[State]| states.contains(&state);
    let acknowledged = reached(&[State::Taking, State::Settled, State::Lost]);
    let appended = acknowledged || reached(&[State::Completed, State::Failed]);
    let seal = Seal {
        appended_at: appended.then_some(UnixMs(APPENDED_AT)),
        acknowledged_at: acknowledged.then_some(UnixMs(4_000)),
    };
    Job { seal: Some(seal), ..job(state) }
}

/// COMPLETED, and nothing of it is in the log.
fn fresh() -> Job {
    Job { seal: Some(Seal::default()), ..job(State::Completed) }
}

fn notes(mark: Mark, effects: Vec<Effect>) -> Result<Transition, Refused> {
    Ok(Transition { mark: Some(mark), ..moves(State::Completed, State::Completed, effects)? })
}

fn acknowledged() -> Job {
    let job = sealed(State::Completed);
    let transition = job.decide(Input::Acknowledged, &context(5_000, None)).unwrap();
    job.after(&transition, UnixMs(5_000))
}

/// What an acknowledgement and the log's word do in every state; every other input does what it does to any job.
#[test]
fn every_state_answers_as_the_table_says() {
    use State::*;
    for state in State::ALL {
        let now = context(6_000, Some(DEADLINE - 100));
        let expected = match state {
            Completed => notes(Mark::Acknowledged, vec![Effect::AuthoriseClaim]),
            Quoted | Held | Running => Err(Refused::NothingToAcknowledge(state)),
            Taking | Settled | Lost => stays(state, vec![]),
            Releasing | Failed | Canceled | Expired => Err(Refused::TooLateToAcknowledge(state)),
        };
        assert_eq!(sealed(state).decide(Input::Acknowledged, &now), expected, "{state}");
        for input in inputs() {
            let is_its_own =
                matches!(input, Input::Acknowledged | Input::ReceiptAppended) && state == Completed;
            if !is_its_own && input != Input::Acknowledged {
                let decided = sealed(state).decide(input, &now);
                assert_eq!(decided, super::expected(state, input), "{state} on {input:?}");
            }
        }
    }
}

#[test]
fn nothing_is_taken_before_the_acknowledgement() {
    let now = |ms| context(ms, Some(1));
    let job = fresh();
    assert_eq!(job.pending(), Some(Effect::AppendReceipt));
    assert_eq!(
        job.decide(Input::Acknowledged, &now(2_500)),
        Err(Refused::NothingToAcknowledge(State::Completed))
    );

    let noted = job.decide(Input::ReceiptAppended, &now(APPENDED_AT)).unwrap();
    assert_eq!(Ok(noted.clone()), notes(Mark::Appended, vec![]));
    let appended = job.after(&noted, UnixMs(APPENDED_AT));
    assert_eq!(appended, Job { ..sealed(State::Completed) });
    assert_eq!(appended.pending(), None, "it is the buyer's turn");
    // However often the log is asked.
    assert_eq!(appended.decide(Input::ReceiptAppended, &now(4_000)), stays(State::Completed, vec![]));
    assert_eq!(appended.decide(Input::Cancel, &now(4_000)), Err(Refused::TooLateToCancel(State::Completed)));

    let acknowledged = acknowledged();
    assert_eq!(acknowledged.pending(), Some(Effect::AuthoriseClaim));
    assert_eq!(
        acknowledged.decide(Input::Acknowledged, &now(60_000)),
        stays(State::Completed, vec![]),
        "twice"
    );
    assert_eq!(
        acknowledged.decide(Input::ReceiptAppended, &now(6_000)),
        moves(State::Completed, State::Taking, vec![Effect::ClaimInvoice])
    );
}

#[test]
fn the_buyers_time_runs_from_the_log_and_ends_with_the_money_back() {
    let job = sealed(State::Completed);
    let ends = APPENDED_AT + RULES.acknowledge_timeout_ms;
    let (just, over) = (context(ends - 1, Some(1)), context(ends, Some(1)));
    assert_eq!(job.acknowledge_until(&just), Some(UnixMs(ends)));
    assert!(!job.decide(Input::Tick, &just).unwrap().is_change());
    assert_eq!(job.decide(Input::Tick, &over), releases(State::Completed, ReleaseReason::NotAcknowledged));
    assert!(job.decide(Input::Acknowledged, &just).unwrap().is_change());
    let late = Err(Refused::TooLateToAcknowledge(State::Completed));
    assert_eq!(job.decide(Input::Acknowledged, &over), late);

    // The log's own time is as ever, and the buyer's has not begun.
    assert_eq!(fresh().acknowledge_until(&just), None);
    assert!(!fresh().decide(Input::Tick, &context(11_999, None)).unwrap().is_change());
    let unlogged = fresh().decide(Input::Tick, &context(12_000, None));
    assert_eq!(unlogged, releases(State::Completed, ReleaseReason::AuditUnavailable));
}

#[test]
fn a_voided_sealed_receipt_gets_its_closing_entry() {
    let job = sealed(State::Completed);
    let over = context(APPENDED_AT + RULES.acknowledge_timeout_ms, None);
    let release = job.decide(Input::Tick, &over).unwrap();
    let releasing = job.after(&release, over.now);
    let closing = Effect::AppendClosing { outcome: Outcome::Voided };
    assert_eq!(
        releasing.decide(Input::ReleaseConfirmed, &over),
        moves(State::Releasing, State::Expired, vec![closing])
    );
}

#[test]
fn an_acknowledged_claim_still_needs_blocks_and_a_known_tip_in_time() {
    let job = acknowledged();
    assert_eq!(job.acknowledge_until(&context(6_000, None)), None);
    let decide = |tip| job.decide(Input::ReceiptAppended, &context(6_000, tip));
    assert_eq!(decide(None), Err(Refused::TipUnknown));
    assert_eq!(decide(Some(DEADLINE - 2)).unwrap().to, State::Taking);
    assert_eq!(decide(Some(DEADLINE - 1)), releases(State::Completed, ReleaseReason::DeadlineTooClose));
    let ends = 5_000 + RULES.append_timeout_ms;
    assert!(!job.decide(Input::Tick, &context(ends - 1, None)).unwrap().is_change());
    let over = job.decide(Input::Tick, &context(ends, None));
    assert_eq!(over, releases(State::Completed, ReleaseReason::AuditUnavailable));
}
