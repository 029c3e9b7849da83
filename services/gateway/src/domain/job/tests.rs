//! The whole transition table, written out, and the invariants under random histories.

use proptest::prelude::*;

use super::*;

mod sealed;

const RULES: Rules = Rules {
    run_limit_ms: 60_000,
    append_timeout_ms: 10_000,
    acknowledge_timeout_ms: 30_000,
    claim_margin_blocks: 2,
};
const EXPIRY: UnixMs = UnixMs(600_000);
const DEADLINE: u32 = 144;
fn inputs() -> [Input; 16] {
    [
        Input::HoldAccepted(hold(1070, 1_000)),
        Input::HoldAccepted(hold(1069, 1_000)),
        Input::HoldExpired,
        Input::HoldReleased,
        Input::HoldClaimed { amount: amount(1070) },
        Input::HoldLost,
        Input::Cancel,
        Input::Tick,
        Input::BeginAttempt,
        Input::AttemptFailed { attempt: 1, reason: ReleaseReason::ModelFailed },
        Input::AttemptFailed { attempt: 9, reason: ReleaseReason::ModelFailed },
        Input::Answered { attempt: 1, charge: amount(1070) },
        Input::ReceiptAppended,
        Input::Acknowledged,
        Input::AppendRefused,
        Input::ReleaseConfirmed,
    ]
}

fn amount(msat: u64) -> AmountMsat {
    AmountMsat::try_new(msat).unwrap()
}

fn hold(msat: u64, accepted_ms: u64) -> Hold {
    Hold { amount: amount(msat), claim_deadline_height: Some(DEADLINE), accepted_at: UnixMs(accepted_ms) }
}

fn context(now: u64, tip_height: Option<u32>) -> Context {
    Context { now: UnixMs(now), tip_height, rules: RULES }
}

/// A job as its history would have left it.
fn job(state: State) -> Job {
    let reached = |states: &[State]| states.contains(&state);
    let never_held = reached(&[State::Quoted, State::Releasing, State::Expired, State::Canceled]);
    let completed = reached(&[State::Completed, State::Taking, State::Settled, State::Lost, State::Failed]);
    Job {
        rail: Rail::Hold,
        state,
        price: amount(1070),
        charge: completed.then_some(amount(1070)),
        expiry: EXPIRY,
        attempt: if never_held || state == State::Held { 0 } else { 1 },
        hold: if never_held { None } else { Some(hold(1070, 1_000)) },
        completed_at: completed.then_some(UnixMs(2_000)),
        release_reason: match state {
            State::Releasing | State::Canceled => Some(ReleaseReason::Canceled),
            State::Failed => Some(ReleaseReason::AuditUnavailable),
            State::Expired => Some(ReleaseReason::QuoteExpired),
            _ => None,
        },
        seal: None,
    }
}

fn stays(state: State, effects: Vec<Effect>) -> Result<Transition, Refused> {
    moves(state, state, effects)
}

fn moves(from: State, to: State, effects: Vec<Effect>) -> Result<Transition, Refused> {
    Ok(Transition {
        from,
        to,
        attempt: None,
        hold: None,
        charge: None,
        release_reason: None,
        mark: None,
        effects,
    })
}

fn releases(from: State, reason: ReleaseReason) -> Result<Transition, Refused> {
    let effects = vec![Effect::ReleaseInvoice { reason }];
    Ok(Transition { release_reason: Some(reason), ..moves(from, State::Releasing, effects)? })
}

fn begins(from: State, attempt: u32) -> Result<Transition, Refused> {
    Ok(Transition {
        attempt: Some(attempt),
        ..moves(from, State::Running, vec![Effect::RunModel { attempt }])?
    })
}

/// What must happen while nothing has run out: t = 3 s, tip 100 blocks below the deadline.
fn expected(state: State, input: Input) -> Result<Transition, Refused> {
    use ReleaseReason as Why;
    use State::*;

    match (input, state) {
        (Input::HoldAccepted(hold), Quoted) if hold.amount < amount(1070) => releases(Quoted, Why::Underpaid),
        (Input::HoldAccepted(hold), Quoted) => {
            let effects = vec![Effect::RunModel { attempt: 1 }];
            Ok(Transition { hold: Some(hold), ..moves(Quoted, Held, effects)? })
        }
        (Input::HoldAccepted(_), Releasing | Failed | Canceled | Expired) => {
            let reason = job(state).release_reason.unwrap();
            stays(state, vec![Effect::ReleaseInvoice { reason }])
        }
        (Input::HoldExpired, Quoted) => releases(Quoted, Why::QuoteExpired),
        (Input::HoldReleased, Quoted | Held | Running | Completed) => releases(state, Why::HoldReleased),
        (Input::HoldReleased | Input::HoldLost, Taking) => {
            let outcome = Outcome::Lost;
            moves(Taking, Lost, vec![Effect::PostWriteOff, Effect::AppendClosing { outcome }])
        }
        (Input::HoldReleased | Input::ReleaseConfirmed, Releasing) => moves(Releasing, Canceled, vec![]),
        (Input::HoldClaimed { amount }, Taking) => {
            let outcome = Outcome::Settled;
            let effects = vec![Effect::PostSettlement { amount }, Effect::AppendClosing { outcome }];
            moves(Taking, Settled, effects)
        }
        (Input::HoldClaimed { .. }, Settled) | (Input::HoldLost, Lost) => stays(state, vec![]),
        (Input::HoldClaimed { .. } | Input::HoldLost, _) => Err(Refused::Contradiction(state)),
        (Input::Cancel, Quoted | Held | Running) => releases(state, Why::Canceled),
        (Input::Cancel, Completed | Taking | Settled | Lost) => Err(Refused::TooLateToCancel(state)),
        (Input::BeginAttempt, Held) => begins(Held, 1),
        (Input::BeginAttempt, Running) => begins(Running, 2),
        (Input::BeginAttempt, _) => Err(Refused::Stale(state)),
        (Input::AttemptFailed { attempt: 1, reason }, Running) => releases(Running, reason),
        (Input::AttemptFailed { .. }, _) => Err(Refused::Stale(state)),
        (Input::Answered { charge, .. }, Running) => {
            let moved = moves(Running, Completed, vec![Effect::AppendReceipt])?;
            Ok(Transition { charge: Some(charge), ..moved })
        }
        (Input::Answered { .. }, _) => Err(Refused::Stale(state)),
        (Input::ReceiptAppended, Completed) => moves(Completed, Taking, vec![Effect::ClaimInvoice]),
        (Input::ReceiptAppended, Taking) => stays(Taking, vec![]),
        (Input::ReceiptAppended, _) => Err(Refused::Stale(state)),
        (Input::Acknowledged, _) => Err(Refused::NotSealed),
        (Input::AppendRefused, Completed) => releases(Completed, Why::ReceiptFailed),
        (Input::AppendRefused, _) => Err(Refused::Stale(state)),
        (
            Input::HoldAccepted(_)
            | Input::HoldExpired
            | Input::HoldReleased
            | Input::Cancel
            | Input::Tick
            | Input::ReleaseConfirmed,
            _,
        ) => stays(state, vec![]),
    }
}

#[test]
fn every_state_answers_every_input_as_the_table_says() {
    for state in State::ALL {
        for input in inputs() {
            let decided = job(state).decide(input, &context(3_000, Some(DEADLINE - 100)));
            assert_eq!(decided, expected(state, input), "{state} on {input:?}");
        }
    }
}

#[test]
fn a_quote_ends_at_its_expiry() {
    let quoted = job(State::Quoted);
    for (now, to) in [(EXPIRY.0 - 1, State::Held), (EXPIRY.0, State::Releasing)] {
        let decided = quoted.decide(Input::HoldAccepted(hold(1070, 1)), &context(now, None)).unwrap();
        assert_eq!(decided.to, to);
    }
    assert_eq!(quoted.decide(Input::Tick, &context(EXPIRY.0 - 1, None)).unwrap().to, State::Quoted);
    assert_eq!(
        quoted.decide(Input::Tick, &context(EXPIRY.0, None)),
        releases(State::Quoted, ReleaseReason::QuoteExpired)
    );
}

#[test]
fn the_run_limit_counts_from_the_hold() {
    let (just, over) = (context(60_999, None), context(61_000, None));
    for state in [State::Held, State::Running] {
        assert!(!job(state).decide(Input::Tick, &just).unwrap().is_change());
        assert_eq!(job(state).decide(Input::Tick, &over), releases(state, ReleaseReason::RunLimit));
        assert!(job(state).decide(Input::BeginAttempt, &just).unwrap().is_change());
        assert_eq!(job(state).decide(Input::BeginAttempt, &over), releases(state, ReleaseReason::RunLimit));
    }
    let answered = Input::Answered { attempt: 1, charge: amount(1070) };
    assert_eq!(job(State::Running).decide(answered, &just).unwrap().to, State::Completed);
    assert_eq!(
        job(State::Running).decide(answered, &over),
        releases(State::Running, ReleaseReason::RunLimit)
    );
}

#[test]
fn a_clock_ahead_does_not_lengthen_the_run_limit() {
    let accepted =
        job(State::Quoted).decide(Input::HoldAccepted(hold(1070, 9_000)), &context(3_000, None)).unwrap();
    assert_eq!(accepted.hold.unwrap().accepted_at, UnixMs(3_000));
}

#[test]
fn a_log_that_does_not_answer_fails_the_job_back() {
    let completed = job(State::Completed);
    assert!(!completed.decide(Input::Tick, &context(11_999, None)).unwrap().is_change());
    let over = completed.decide(Input::Tick, &context(12_000, None));
    assert_eq!(over, releases(State::Completed, ReleaseReason::AuditUnavailable));
}

#[test]
fn a_claim_needs_two_blocks_and_a_known_tip() {
    let completed = job(State::Completed);
    let decide = |tip| completed.decide(Input::ReceiptAppended, &context(3_000, tip));
    assert_eq!(decide(Some(DEADLINE - 2)).unwrap().to, State::Taking);
    assert_eq!(decide(Some(DEADLINE - 1)), releases(State::Completed, ReleaseReason::DeadlineTooClose));
    assert_eq!(decide(Some(u32::MAX)), releases(State::Completed, ReleaseReason::DeadlineTooClose));
    assert_eq!(decide(None), Err(Refused::TipUnknown));
    let begin = |tip| job(State::Held).decide(Input::BeginAttempt, &context(3_000, tip)).unwrap().to;
    assert_eq!(begin(Some(DEADLINE - 1)), State::Releasing);
    assert_eq!(begin(None), State::Running);
}

#[test]
fn a_voided_receipt_gets_its_closing_entry() {
    let mut releasing = job(State::Releasing);
    releasing.release_reason = Some(ReleaseReason::AuditUnavailable);
    releasing.completed_at = Some(UnixMs(2_000));
    let closing = Effect::AppendClosing { outcome: Outcome::Voided };
    let decided = releasing.decide(Input::ReleaseConfirmed, &context(3_000, None));
    assert_eq!(decided, moves(State::Releasing, State::Failed, vec![closing]));
}

#[test]
fn words_of_states_round_trip() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert!("quoted".parse::<State>().is_err());
}

#[test]
fn what_is_pending_is_what_the_last_transition_asked_for() {
    for state in State::ALL {
        for input in inputs() {
            let before = job(state);
            let context = context(3_000, Some(1));
            let Ok(transition) = before.decide(input, &context) else { continue };
            let begins_attempt = transition.attempt.is_some();
            if !transition.is_change() || transition.to.is_terminal() || begins_attempt {
                continue;
            }
            let after = before.after(&transition, context.now);
            assert_eq!(after.pending().as_slice(), transition.effects, "{state} on {input:?}");
        }
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    let reasons = prop::sample::select(ReleaseReason::ALL);
    prop_oneof![
        (1_000u64..1_200, 0u64..800_000).prop_map(|(msat, at)| Input::HoldAccepted(hold(msat, at))),
        prop::sample::select(inputs()[2..].to_vec()),
        (0u32..4, reasons).prop_map(|(attempt, reason)| Input::AttemptFailed { attempt, reason }),
        (0u32..4, 0u64..1_100).prop_map(|(attempt, msat)| Input::Answered { attempt, charge: amount(msat) }),
    ]
}

proptest! {
    #[test]
    fn no_history_breaks_an_invariant(
        history in prop::collection::vec((any_input(), 0u64..30_000, prop::option::of(0u32..200)), 1..60),
        sealed: bool,
    ) {
        let mut job = Job { seal: sealed.then(Seal::default), ..job(State::Quoted) };
        let (mut now, mut settlements, mut write_offs, mut closings) = (0u64, 0, 0, 0);
        for (input, passed, tip) in history {
            now += passed;
            let context = context(now, tip);
            let Ok(transition) = job.decide(input, &context) else { continue };
            prop_assert_eq!(transition.from, job.state);
            for effect in &transition.effects {
                match effect {
                    Effect::ReleaseInvoice { .. } => {
                        prop_assert!(!matches!(transition.to, State::Taking | State::Settled | State::Lost));
                        prop_assert!(!matches!(job.state, State::Taking | State::Settled | State::Lost));
                    }
                    Effect::ClaimInvoice => {
                        prop_assert!(job.has_receipt() && job.state == State::Completed);
                        prop_assert!(!job.awaits_acknowledgement());
                        prop_assert!(tip.unwrap() + RULES.claim_margin_blocks <= DEADLINE);
                        prop_assert!(job.hold.unwrap().amount >= job.price);
                    }
                    Effect::PostSettlement { .. } => settlements += 1,
                    Effect::PostWriteOff => write_offs += 1,
                    Effect::AppendClosing { .. } => closings += 1,
                    Effect::RunModel { .. } => prop_assert!(job.state.is_releasable()),
                    Effect::AppendReceipt => prop_assert_eq!(transition.to, State::Completed),
                    Effect::AuthoriseClaim => prop_assert!(sealed && transition.to == State::Completed),
                    Effect::Capture { .. } | Effect::Void => prop_assert!(false, "nothing is reserved"),
                }
            }
            if job.state.is_terminal() {
                prop_assert!(!transition.is_change(), "terminal states are terminal");
            }
            if job.state == State::Taking {
                prop_assert!(matches!(transition.to, State::Taking | State::Settled | State::Lost));
            }
            let after = job.after(&transition, context.now);
            prop_assert!(after.attempt >= job.attempt);
            prop_assert!(after.charge.is_none_or(|charge| charge <= after.price));
            prop_assert!(job.release_reason.is_none() || after.release_reason == job.release_reason);
            prop_assert!(job.completed_at.is_none() || after.completed_at == job.completed_at);
            job = after;
        }
        prop_assert!(settlements + write_offs <= 1);
        prop_assert!(closings <= 1);
        prop_assert_eq!(settlements == 1, job.state == State::Settled);
        prop_assert_eq!(write_offs == 1, job.state == State::Lost);
        prop_assert!(!job.state.is_terminal() || job.has_receipt() == (closings == 1));
    }
}

/// A prepaid job as its history would have left it.
fn prepaid(state: State) -> Job {
    let completed = [State::Completed, State::Settled].contains(&state);
    Job {
        state,
        charge: completed.then_some(amount(700)),
        completed_at: completed.then_some(UnixMs(2_000)),
        release_reason: match state {
            State::Failed => Some(ReleaseReason::ModelFailed),
            State::Canceled => Some(ReleaseReason::Canceled),
            State::Expired => Some(ReleaseReason::RunLimit),
            _ => None,
        },
        ..Job::prepaid(amount(1070), UnixMs(1_000))
    }
}

fn ends(from: State, reason: ReleaseReason, effects: Vec<Effect>) -> Result<Transition, Refused> {
    Ok(Transition { release_reason: Some(reason), ..moves(from, reason.terminal_state(), effects)? })
}

/// The rows of the table that differ on the prepaid rail: no events, no claim, no waiting for a release.
#[test]
fn a_prepaid_job_begins_running_and_ends_in_our_own_books() {
    let now = context(3_000, None);
    let running = prepaid(State::Running);
    let charge = amount(700);
    assert_eq!(running.pending(), Some(Effect::RunModel { attempt: 2 }), "after a crash");
    assert_eq!(
        running.decide(Input::Cancel, &now),
        ends(State::Running, ReleaseReason::Canceled, vec![Effect::Void])
    );
    assert_eq!(
        running.decide(Input::Tick, &context(61_000, None)),
        ends(State::Running, ReleaseReason::RunLimit, vec![Effect::Void])
    );
    let completed = running.decide(Input::Answered { attempt: 1, charge }, &now).unwrap();
    assert_eq!((completed.to, completed.charge), (State::Completed, Some(charge)));
    let above = Input::Answered { attempt: 1, charge: amount(1071) };
    assert_eq!(running.decide(above, &now), Err(Refused::AboveQuote));

    let completed = prepaid(State::Completed);
    let closing = |outcome| Effect::AppendClosing { outcome };
    let captured = vec![Effect::Capture { amount: charge }, closing(Outcome::Settled)];
    assert_eq!(
        completed.decide(Input::ReceiptAppended, &now),
        moves(State::Completed, State::Settled, captured),
        "without a tip: nothing can be late"
    );
    let voided = vec![Effect::Void, closing(Outcome::Voided)];
    assert_eq!(
        completed.decide(Input::Tick, &context(12_000, None)),
        ends(State::Completed, ReleaseReason::AuditUnavailable, voided)
    );
    assert_eq!(completed.decide(Input::Cancel, &now), Err(Refused::TooLateToCancel(State::Completed)));
    for state in State::ALL {
        for input in inputs().into_iter().filter(Input::is_of_payment) {
            assert_eq!(prepaid(state).decide(input, &now), Err(Refused::Contradiction(state)));
        }
    }
    for rail in Rail::ALL {
        assert_eq!(rail.as_str().parse(), Ok(rail));
    }
}

proptest! {
    /// Whatever happens, a reservation is captured once or freed once, and only when the job ends.
    #[test]
    fn a_reservation_ends_once_with_its_job(
        history in prop::collection::vec((any_input(), 0u64..30_000, prop::option::of(0u32..200)), 1..60)
    ) {
        let mut job = prepaid(State::Running);
        let (mut now, mut captured, mut voided, mut closings) = (1_000u64, 0, 0, 0);
        for (input, passed, tip) in history {
            now += passed;
            let context = context(now, tip);
            let Ok(transition) = job.decide(input, &context) else { continue };
            for effect in &transition.effects {
                match effect {
                    Effect::Capture { amount } => {
                        prop_assert!(*amount <= job.price && job.has_receipt());
                        captured += 1;
                    }
                    Effect::Void => voided += 1,
                    Effect::AppendClosing { .. } => closings += 1,
                    Effect::RunModel { .. } | Effect::AppendReceipt => {}
                    other => prop_assert!(false, "{other:?} on the prepaid rail"),
                }
            }
            job = job.after(&transition, context.now);
        }
        prop_assert_eq!(captured + voided, i32::from(job.state.is_terminal()));
        prop_assert_eq!(captured == 1, job.state == State::Settled);
        prop_assert_eq!(closings == 1, job.state.is_terminal() && job.has_receipt());
        prop_assert!(![State::Quoted, State::Held, State::Taking, State::Releasing, State::Lost].contains(&job.state));
    }
}
