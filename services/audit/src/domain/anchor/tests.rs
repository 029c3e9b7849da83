use super::*;

const POLICY: AnchorPolicy = AnchorPolicy { confirmations: 2, bump_after_blocks: 6 };

#[test]
fn the_state_follows_what_is_seen() {
    let cases = [
        (Sight::Missing, 0, AnchorState::Signed, Action::Broadcast),
        (Sight::Missing, 99, AnchorState::Signed, Action::Broadcast),
        (Sight::Mempool, 5, AnchorState::Broadcast, Action::Wait),
        (Sight::Mempool, 6, AnchorState::Broadcast, Action::Bump),
        (Sight::Mined { confirmations: 1 }, 0, AnchorState::Confirmed, Action::Wait),
        (Sight::Mined { confirmations: 2 }, 99, AnchorState::Final, Action::Wait),
        (Sight::Conflicted, 0, AnchorState::Conflicted, Action::Wait),
    ];
    for (sight, waited, state, action) in cases {
        assert_eq!(next(sight, waited, POLICY), (state, action), "{sight:?} after {waited} blocks");
    }
}

#[test]
fn names_round_trip() {
    for state in ["signed", "broadcast", "confirmed", "final", "conflicted"] {
        assert_eq!(AnchorState::parse(state).unwrap().as_str(), state);
    }
    assert_eq!(AnchorState::parse("due"), None);
}

#[test]
fn an_anchor_is_due_once_the_tree_grew_the_interval_passed_and_nothing_is_in_flight() {
    assert!(!is_due(0, None, false, 0, 0), "an empty log is not worth an anchor");
    assert!(is_due(1, None, false, 0, 600_000));
    let newest = Anchor {
        anchor_id: 1,
        tree_size: 5,
        state: AnchorState::Confirmed,
        created_unix_ms: 1_000,
        attempts: vec![],
        inclusion: None,
    };
    assert!(is_due(6, Some(&newest), false, 2_000, 1_000));
    assert!(!is_due(5, Some(&newest), false, 2_000, 1_000), "nothing new");
    assert!(!is_due(6, Some(&newest), false, 1_999, 1_000), "too early");
    assert!(!is_due(6, Some(&newest), true, 2_000, 1_000), "one is in flight");
}
