use super::*;

const POLICY: AnchorPolicy = AnchorPolicy { confirmations: 2, bump_after_blocks: 6 };

#[test]
fn the_state_follows_what_is_seen() {
    use AnchorState as S;
    const NEW_BLOCK: bool = true;
    let cases = [
        (S::Signed, Sight::Missing, 0, false, S::Signed, Action::Broadcast),
        (S::Broadcast, Sight::Missing, 99, false, S::Signed, Action::Broadcast),
        (S::Signed, Sight::Unconfirmed, 0, false, S::Signed, Action::Broadcast),
        (S::Signed, Sight::Unconfirmed, 99, NEW_BLOCK, S::Signed, Action::Broadcast),
        (S::Broadcast, Sight::Unconfirmed, 5, false, S::Broadcast, Action::Wait),
        (S::Broadcast, Sight::Unconfirmed, 5, NEW_BLOCK, S::Broadcast, Action::Broadcast),
        (S::Broadcast, Sight::Unconfirmed, 6, NEW_BLOCK, S::Broadcast, Action::Bump),
        (S::Broadcast, Sight::Mined { confirmations: 1 }, 0, NEW_BLOCK, S::Confirmed, Action::Wait),
        (S::Signed, Sight::Mined { confirmations: 2 }, 99, NEW_BLOCK, S::Final, Action::Wait),
        (S::Confirmed, Sight::Mined { confirmations: 2 }, 0, NEW_BLOCK, S::Final, Action::Wait),
        (S::Final, Sight::Unconfirmed, 0, NEW_BLOCK, S::Signed, Action::Broadcast),
        (S::Final, Sight::Missing, 0, NEW_BLOCK, S::Signed, Action::Broadcast),
        (S::Signed, Sight::Conflicted, 0, NEW_BLOCK, S::Conflicted, Action::Wait),
    ];
    for (state, sight, waited, moved, expected, action) in cases {
        let decided = next(state, sight, waited, moved, POLICY);
        assert_eq!(decided, (expected, action), "{state:?}, {sight:?} after {waited} blocks");
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
        waiting_height: 0,
        attempts: vec![],
        inclusion: None,
    };
    assert!(is_due(6, Some(&newest), false, 2_000, 1_000));
    assert!(!is_due(5, Some(&newest), false, 2_000, 1_000), "nothing new");
    assert!(!is_due(6, Some(&newest), false, 1_999, 1_000), "too early");
    assert!(!is_due(6, Some(&newest), true, 2_000, 1_000), "one is in flight");
}
