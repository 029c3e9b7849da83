//! What no order of inputs may bring about.

use super::*;

fn inputs() -> impl Strategy<Value = Input> {
    let tip = prop_oneof![0..DEADLINE + 20, (DEADLINE - 4)..(DEADLINE + 2), Just(u32::MAX)];
    let deadline =
        prop_oneof![Just(Some(DEADLINE)), proptest::option::of(0..DEADLINE + 50), Just(Some(u32::MAX))];
    let amount = prop_oneof![4 => Just(PRICE), 1 => 0..3 * PRICE];
    let time = prop_oneof![Just(0), Just(EXPIRY), Just(EXPIRY + 1), Just(u64::MAX)];
    prop_oneof![
        Just(Input::Create),
        Just(Input::Opened),
        (amount.clone(), deadline, tip.clone(), any::<bool>(), any::<bool>()).prop_map(
            |(amount, deadline, tip, in_sync, slot_free)| {
                let conditions = Conditions { tip, in_sync, slot_free };
                Input::Claimable { money: money(amount, deadline), conditions }
            }
        ),
        tip.clone().prop_map(|tip| Input::RequestClaim { tip }),
        amount.prop_map(|amount| Input::Received { amount: msat(amount) }),
        Just(Input::RequestRelease),
        Just(Input::FailedBack),
        (tip, time, any::<bool>()).prop_map(|(tip, now, events_drained)| Input::Tick {
            tip,
            now: UnixS(now),
            events_drained
        }),
    ]
}

const TAKING: [HoldState; 3] = [HoldState::ClaimRequested, HoldState::Claimed, HoldState::Lost];
const GIVING_BACK: [HoldState; 2] = [HoldState::ReleaseRequested, HoldState::Released];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn taking_and_giving_back_exclude_each_other(sequence in proptest::collection::vec(inputs(), 1..40)) {
        let mut row = row(HoldState::Intent);
        row.bolt11.clear();
        let (mut claim_told, mut accepted_amount) = (false, None);
        for input in sequence {
            let Ok(transition) = decide(&row, &input, MARGINS) else { continue };
            if TAKING.contains(&row.state) {
                prop_assert!(TAKING.contains(&transition.to), "{row:?} {input:?}");
            }
            if row.state == HoldState::ClaimRequested {
                prop_assert_ne!(transition.call, Some(NodeCall::FailBack), "{:?}", input);
            }
            if GIVING_BACK.contains(&row.state) || GIVING_BACK.contains(&transition.to) {
                prop_assert!(!claim_told, "told to claim and to give back: {row:?} {input:?}");
                prop_assert_ne!(transition.call, Some(NodeCall::Claim), "{:?}", input);
            }
            if transition.call == Some(NodeCall::MakeInvoice) {
                prop_assert_eq!(row.state, HoldState::Intent);
            }
            claim_told |= transition.call == Some(NodeCall::Claim);
            // A state that tells consumers something is entered once.
            prop_assert!(transition.event.is_none() || transition.to != row.state);
            row = row.after(&transition, Some("asked"), UnixMs(1));
            if let Input::Received { amount } = input {
                prop_assert_eq!(row.hold.map(|hold| hold.amount), Some(amount), "what the node took");
            }
            if row.state == HoldState::Open {
                row.bolt11 = "lnbcrt1".to_owned();
            }
            if row.state.holds_money() {
                accepted_amount.get_or_insert(row.hold.unwrap().amount);
                prop_assert_eq!(accepted_amount, Some(msat(PRICE)), "only the exact price is held");
                prop_assert_eq!(accepted_amount, row.hold.map(|hold| hold.amount));
            }
        }
    }

    #[test]
    fn a_claim_is_authorised_only_with_blocks_to_spare(tip in 0..DEADLINE + 50) {
        let accepted = row(HoldState::Accepted);
        let claim = decide(&accepted, &Input::RequestClaim { tip }, MARGINS);
        prop_assert_eq!(claim.is_ok(), tip + MARGINS.claim_blocks <= DEADLINE);
        let tick = Input::Tick { tip, now: UnixS(0), events_drained: true };
        let guarded = decide(&accepted, &tick, MARGINS).unwrap().to == HoldState::ReleaseRequested;
        prop_assert_eq!(guarded, tip + MARGINS.guard_blocks >= DEADLINE);
        prop_assert!(!(claim.is_ok() && guarded), "one height allows both");
    }

    #[test]
    fn repeating_an_input_changes_nothing_more(
        state in proptest::sample::select(HoldState::ALL.to_vec()),
        input in inputs(),
    ) {
        let before = row(state);
        if let Ok(first) = decide(&before, &input, MARGINS) {
            let after = before.after(&first, Some("asked"), UnixMs(1));
            if let Ok(second) = decide(&after, &input, MARGINS)
                && !matches!(input, Input::Tick { .. })
            {
                prop_assert_eq!(second.to, after.state);
                prop_assert_eq!(second.event, None);
            }
        }
    }
}
