//! Every state against every kind of input. A change of the rules shows here as a changed line.

use super::*;

const TIP: u32 = 100;
const GOOD: Conditions = Conditions { tip: TIP, in_sync: true, slot_free: true };

/// `to`, the call, the event and the reason in one word each; `-` for none.
fn show(decision: Result<Transition, Refused>) -> String {
    match decision {
        Err(Refused::InvalidState(_)) => "refused".to_owned(),
        Err(Refused::DeadlineTooClose { .. }) => "too_close".to_owned(),
        Err(Refused::Unauthorised(_)) => "unauthorised".to_owned(),
        Ok(Transition { to, call, event, reason, .. }) => {
            let call = call.map_or("-", |call| match call {
                NodeCall::MakeInvoice => "make",
                NodeCall::Claim => "claim",
                NodeCall::FailBack => "fail",
            });
            let event = if event.is_some() { "event" } else { "-" };
            format!("{} {call} {event} {}", to.as_str(), reason.unwrap_or("-"))
        }
    }
}

fn check(input: Input, expected: [&str; 9]) {
    for (state, expected) in HoldState::ALL.into_iter().zip(expected) {
        let row = row(state);
        let decision = decide(&row, &input, MARGINS);
        // The event of a state belongs to the entry into it, and to nothing else.
        if let Ok(transition) = decision {
            let entered = (transition.to != state).then(|| event_of(transition.to)).flatten();
            assert_eq!(transition.event, entered, "{state:?} {input:?}");
        }
        let expected = match expected {
            "same" => format!("{} - - -", state.as_str()),
            "again" => format!("{} fail - -", state.as_str()),
            other => other.to_owned(),
        };
        assert_eq!(show(decision), expected, "{state:?} {input:?}");
    }
}

#[test]
fn create() {
    check(Input::Create, ["INTENT make - -", "same", "same", "same", "same", "same", "same", "same", "same"]);
}

#[test]
fn opened() {
    check(
        Input::Opened,
        [
            "OPEN - - -",
            "refused",
            "refused",
            "refused",
            "refused",
            "refused",
            "refused",
            "refused",
            "refused",
        ],
    );
}

#[test]
fn claimable_as_asked() {
    check(
        Input::Claimable { money: money(PRICE, Some(DEADLINE)), conditions: GOOD },
        [
            "again",
            "ACCEPTED - event -",
            "same",
            "CLAIM_REQUESTED claim - -",
            "again",
            "again",
            "again",
            "again",
            "again",
        ],
    );
}

#[test]
fn claimable_that_is_not_kept() {
    let unfit = |money, conditions, reason: &str| {
        let open = format!("RELEASE_REQUESTED fail - {reason}");
        let accepted = if money == self::money(PRICE, Some(DEADLINE)) {
            "same"
        } else {
            "RELEASE_REQUESTED fail - replaced"
        };
        check(
            Input::Claimable { money, conditions },
            [
                "again",
                &open,
                accepted,
                "CLAIM_REQUESTED claim - -",
                "again",
                "again",
                "again",
                "again",
                "again",
            ],
        );
    };
    unfit(money(PRICE - 1, Some(DEADLINE)), GOOD, "amount_mismatch");
    unfit(money(PRICE + 1, Some(DEADLINE)), GOOD, "amount_mismatch");
    unfit(money(PRICE, None), GOOD, "no_claim_deadline");
    let fits = money(PRICE, Some(DEADLINE));
    unfit(fits, Conditions { tip: DEADLINE - 1, ..GOOD }, "deadline_too_close");
    unfit(fits, Conditions { slot_free: false, ..GOOD }, "too_many_holds");
    unfit(fits, Conditions { in_sync: false, ..GOOD }, "not_synced");
}

#[test]
fn claim_in_time_and_too_late() {
    check(
        Input::RequestClaim { tip: DEADLINE - 2 },
        [
            "refused",
            "refused",
            "CLAIM_REQUESTED claim - -",
            "CLAIM_REQUESTED claim - -",
            "same",
            "refused",
            "refused",
            "refused",
            "refused",
        ],
    );
    check(
        Input::RequestClaim { tip: DEADLINE - 1 },
        [
            "refused",
            "refused",
            "too_close",
            "CLAIM_REQUESTED claim - -",
            "same",
            "refused",
            "refused",
            "refused",
            "refused",
        ],
    );
    check(
        Input::RequestClaim { tip: DEADLINE },
        ["refused", "refused", "too_close", "same", "same", "refused", "refused", "refused", "refused"],
    );
}

#[test]
fn received() {
    let no = "unauthorised";
    let received = |amount| Input::Received { amount: msat(amount) };
    check(received(PRICE), [no, no, no, "CLAIMED - event -", "same", no, no, no, no]);
    // More than was accepted is still what the node holds; a second receipt of another amount was nobody's wish.
    check(received(2 * PRICE), [no, no, no, "CLAIMED - event -", no, no, no, no, no]);
}

#[test]
fn release() {
    check(
        Input::RequestRelease,
        [
            "RELEASED - event -",
            "RELEASED - event -",
            "RELEASE_REQUESTED fail - -",
            "refused",
            "refused",
            "refused",
            "again",
            "same",
            "same",
        ],
    );
}

#[test]
fn failed_back() {
    let no = "refused";
    check(Input::FailedBack, [no, no, no, no, no, no, "RELEASED - event -", "same", no]);
}

#[test]
fn tick_while_nothing_is_due() {
    check(
        Input::Tick { tip: DEADLINE - 2, now: UnixS(EXPIRY), events_drained: true },
        ["same", "same", "same", "CLAIM_REQUESTED claim - -", "same", "same", "again", "same", "same"],
    );
}

#[test]
fn tick_past_the_expiry() {
    check(
        Input::Tick { tip: TIP, now: UnixS(EXPIRY + 1), events_drained: true },
        [
            "RELEASED - event abandoned",
            "EXPIRED - event -",
            "same",
            "CLAIM_REQUESTED claim - -",
            "same",
            "same",
            "again",
            "same",
            "same",
        ],
    );
}

#[test]
fn tick_at_the_guards_height_and_at_the_deadline() {
    check(
        Input::Tick { tip: DEADLINE - 1, now: UnixS(0), events_drained: true },
        [
            "same",
            "same",
            "RELEASE_REQUESTED fail - deadline",
            "CLAIM_REQUESTED claim - -",
            "same",
            "same",
            "again",
            "same",
            "same",
        ],
    );
    check(
        Input::Tick { tip: DEADLINE, now: UnixS(0), events_drained: true },
        [
            "same",
            "same",
            "RELEASE_REQUESTED fail - deadline",
            "LOST - event -",
            "same",
            "same",
            "RELEASED - event -",
            "same",
            "same",
        ],
    );
    // While the node may still have something to say, silence means nothing.
    check(
        Input::Tick { tip: DEADLINE, now: UnixS(0), events_drained: false },
        [
            "same",
            "same",
            "RELEASE_REQUESTED fail - deadline",
            "same",
            "same",
            "same",
            "RELEASED - event -",
            "same",
            "same",
        ],
    );
}
