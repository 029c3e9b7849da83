use proptest::prelude::*;

use super::*;

mod properties;
mod table;

const MARGINS: Margins = Margins { claim_blocks: 2, guard_blocks: 1 };
const PRICE: u64 = 1_000;
const DEADLINE: u32 = 200;
const EXPIRY: u64 = 5_000;

fn msat(amount: u64) -> AmountMsat {
    AmountMsat::try_new(amount).unwrap()
}

/// A row as it is found in a state.
fn row(state: HoldState) -> HoldInvoice {
    let id: InvoiceId = "6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap();
    let hash = PaymentHash(Digest::new([1; 32]));
    let terms = Terms { amount: msat(PRICE), description_hash: Digest::new([2; 32]), expiry_s: 60 };
    let mut row = HoldInvoice::intent(id, hash, terms, UnixS(EXPIRY - 60));
    row.state = state;
    if state != HoldState::Intent {
        row.bolt11 = "lnbcrt1".to_owned();
    }
    let holds = [
        HoldState::Accepted,
        HoldState::ClaimRequested,
        HoldState::Claimed,
        HoldState::Lost,
        HoldState::ReleaseRequested,
    ];
    if holds.contains(&state) {
        row.hold =
            Some(Hold { amount: msat(PRICE), claim_deadline_height: Some(DEADLINE), accepted_at: UnixMs(1) });
    }
    row
}

fn money(amount: u64, deadline: Option<u32>) -> Claimable {
    Claimable { amount: msat(amount), claim_deadline_height: deadline }
}

#[test]
fn names_round_trip() {
    for state in HoldState::ALL {
        assert_eq!(HoldState::from_name(state.as_str()), Some(state));
    }
    assert_eq!(HoldState::from_name("open"), None);
}

#[test]
fn a_create_that_comes_after_the_release_is_refused() {
    let mut released = row(HoldState::Released);
    assert!(
        decide(&released, &Input::Create, MARGINS).is_ok(),
        "its text was given out: answer what is stored"
    );
    released.bolt11.clear();
    let refused = decide(&released, &Input::Create, MARGINS);
    assert_eq!(refused, Err(Refused::InvalidState(HoldState::Released)));
}

#[test]
fn the_first_reason_of_a_release_stays() {
    let accepted = row(HoldState::Accepted);
    let release = decide(&accepted, &Input::RequestRelease, MARGINS).unwrap();
    let requested = accepted.after(&release, Some("model_failed"), UnixMs(9));
    assert_eq!(requested.release_reason, "model_failed");
    assert_eq!(requested.fail_back_until_height, Some(DEADLINE));
    let tick = Input::Tick { tip: DEADLINE, now: UnixS(0), events_drained: false };
    let done = requested.after(&decide(&requested, &tick, MARGINS).unwrap(), None, UnixMs(10));
    assert_eq!((done.state, done.release_reason.as_str()), (HoldState::Released, "model_failed"));
}

#[test]
fn money_is_recorded_as_it_arrived() {
    let open = row(HoldState::Open);
    let conditions = Conditions { tip: 100, in_sync: true, slot_free: true };
    let input = Input::Claimable { money: money(PRICE + 1, Some(DEADLINE)), conditions };
    let transition = decide(&open, &input, MARGINS).unwrap();
    let after = open.after(&transition, None, UnixMs(7));
    assert_eq!(after.state, HoldState::ReleaseRequested);
    assert_eq!(after.release_reason, reasons::AMOUNT_MISMATCH);
    assert_eq!(after.hold.unwrap().amount, msat(PRICE + 1));
}

#[test]
fn what_the_node_took_is_what_the_row_says() {
    let requested = row(HoldState::ClaimRequested);
    let transition = decide(&requested, &Input::Received { amount: msat(2 * PRICE) }, MARGINS).unwrap();
    let claimed = requested.after(&transition, None, UnixMs(7));
    assert_eq!(claimed.state, HoldState::Claimed);
    let hold = claimed.hold.unwrap();
    assert_eq!((hold.amount, hold.claim_deadline_height), (msat(2 * PRICE), Some(DEADLINE)));
    assert_eq!(hold.accepted_at, UnixMs(1), "when it was accepted stays");
}
