use super::*;
use ailayer_primitives::Network;
use bitcoin::consensus::Params;
use bitcoin::hashes::Hash as _;
use proptest::prelude::*;

const NOW: UnixS = UnixS(2_000_000_000);

/// Mines a header with the bits given; `salt` tells twins apart.
fn mine(below: &ChainHeader, time: u32, bits: CompactTarget, salt: u8) -> Header {
    let mut header = Header {
        version: bitcoin::block::Version::TWO,
        prev_blockhash: below.block_hash,
        merkle_root: bitcoin::TxMerkleNode::from_byte_array([salt; 32]),
        time,
        bits,
        nonce: 0,
    };
    while !header.target().is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    header
}

fn next(below: &ChainHeader, salt: u8) -> Header {
    mine(below, below.header.time + 600, below.header.bits, salt)
}

fn regtest() -> HeaderChain {
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
    let rules = Rules::of(Network::Regtest);
    HeaderChain::try_new(rules, 200, [ChainHeader::base(0, genesis)]).unwrap()
}

fn grow(chain: &mut HeaderChain, fork_height: u32, count: u32, salt: u8) -> Option<Vec<ChainEvent>> {
    let mut branch = chain.branch_from(fork_height).unwrap();
    for _ in 0..count {
        branch.connect(next(branch.tip(), salt), NOW).unwrap();
    }
    let events = branch.into_events()?;
    chain.apply(&events).unwrap();
    Some(events)
}

#[test]
fn a_longer_branch_replaces_the_chain_down_to_the_fork() {
    let mut chain = regtest();
    grow(&mut chain, 0, 5, 1).unwrap();
    let old: Vec<BlockRef> = (3..=5).map(|height| chain.at(height).unwrap().block_ref()).collect();
    let events = grow(&mut chain, 2, 4, 2).unwrap();
    let left: Vec<BlockRef> = events
        .iter()
        .filter(|event| matches!(event, ChainEvent::Disconnected(_)))
        .map(|event| event.block().block_ref())
        .collect();
    assert_eq!(left, old.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(chain.tip().height, 6);
    assert_eq!(events.len(), 7);
}

#[test]
fn equal_or_less_work_keeps_what_was_seen_first() {
    let mut chain = regtest();
    grow(&mut chain, 0, 5, 1).unwrap();
    let before = chain.tip().block_ref();
    assert_eq!(grow(&mut chain, 2, 3, 2), None);
    assert_eq!(grow(&mut chain, 2, 1, 2), None);
    assert_eq!(chain.tip().block_ref(), before);
}

#[test]
fn more_work_in_fewer_blocks_wins() {
    // A small network: periods of four blocks, retargeting on.
    let mut params = Params::REGTEST;
    params.no_pow_retargeting = false;
    params.allow_min_difficulty_blocks = false;
    params.pow_target_spacing = 10;
    params.pow_target_timespan = 40;
    params.max_attainable_target = bitcoin::Target::from_compact(CompactTarget::from_consensus(0x1f7f_ffff));
    let rules = Rules::new(params, false);
    let easy = CompactTarget::from_consensus(0x1f7f_ffff);
    let genesis =
        Header { bits: easy, ..bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header };
    let mut chain = HeaderChain::try_new(rules.clone(), 200, [ChainHeader::base(0, genesis)]).unwrap();
    let extend = |chain: &HeaderChain, fork: u32, count: u32, spacing_s: u32, salt: u8| {
        let mut branch = chain.branch_from(fork).unwrap();
        for _ in 0..count {
            let (height, time) = (branch.tip().height + 1, branch.tip().header.time + spacing_s);
            let bits = rules.expected_bits(height, time, |at| branch.at(at)).unwrap();
            branch.connect(mine(branch.tip(), time, bits, salt), NOW).unwrap();
        }
        branch.into_events()
    };
    let slow = extend(&chain, 0, 9, 10, 1).unwrap();
    chain.apply(&slow).unwrap();
    let fast = extend(&chain, 0, 7, 1, 2).unwrap();
    assert!(fast.iter().any(|event| event.block().header.bits != easy), "the fast branch met a retarget");
    chain.apply(&fast).unwrap();
    assert_eq!(chain.tip().height, 7, "seven harder blocks outweigh nine easy ones");
}

#[test]
fn each_broken_rule_has_its_name() {
    let mut chain = regtest();
    grow(&mut chain, 0, 20, 1).unwrap();
    let tip = *chain.tip();
    let good = next(&tip, 9);
    let mut branch = chain.branch_from(20).unwrap();

    let unlinked = Header { prev_blockhash: chain.at(19).unwrap().block_hash, ..good };
    assert_eq!(branch.connect(unlinked, NOW), Err(HeaderError::Unlinked { height: 21 }));

    let easier = Header { bits: CompactTarget::from_consensus(0x2100_ffff), ..good };
    assert!(matches!(branch.connect(easier, NOW), Err(HeaderError::WrongBits { height: 21, .. })));

    let mut lazy = good;
    while lazy.target().is_met_by(lazy.block_hash()) {
        lazy.nonce += 1;
    }
    assert!(matches!(branch.connect(lazy, NOW), Err(HeaderError::NoWork { height: 21, .. })));

    let median = chain.at(15).unwrap().header.time;
    let early = mine(&tip, median, tip.header.bits, 9);
    assert_eq!(branch.connect(early, NOW), Err(HeaderError::TooEarly { height: 21 }));

    let ahead = mine(&tip, u32::try_from(NOW.0 + MAX_FUTURE_S + 1).unwrap(), tip.header.bits, 9);
    assert_eq!(branch.connect(ahead, NOW), Err(HeaderError::TooFarAhead { height: 21 }));

    assert!(branch.is_empty());
    assert_eq!(branch.connect(mine(&tip, median + 1, tip.header.bits, 9), NOW), Ok(()));
}

#[test]
fn above_a_checkpoint_the_median_is_not_guessed() {
    let mut whole = regtest();
    grow(&mut whole, 0, 30, 1).unwrap();
    let checkpoint = ChainHeader::base(10, whole.at(10).unwrap().header);
    let chain = HeaderChain::try_new(Rules::of(Network::Regtest), 200, [checkpoint]).unwrap();
    let mut branch = chain.branch_from(10).unwrap();
    // Valid on the whole chain (median of 0..=10 is far below), older than the only known header.
    branch.connect(mine(&checkpoint, checkpoint.header.time - 600, checkpoint.header.bits, 1), NOW).unwrap();
}

#[test]
fn only_so_much_is_held_and_deeper_forks_are_refused() {
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
    let rules = Rules::of(Network::Regtest);
    let mut chain = HeaderChain::try_new(rules, 20, [ChainHeader::base(0, genesis)]).unwrap();
    grow(&mut chain, 0, 50, 1).unwrap();
    assert_eq!(chain.lowest_height(), 31);
    assert!(chain.at(30).is_none());
    assert!(matches!(chain.branch_from(30), Err(HeaderError::MissingAncestor { height: 30 })));
}

#[test]
fn stored_headers_must_link() {
    let mut chain = regtest();
    grow(&mut chain, 0, 5, 1).unwrap();
    let stored: Vec<ChainHeader> = [0, 1, 3].iter().map(|height| *chain.at(*height).unwrap()).collect();
    let error = HeaderChain::try_new(Rules::of(Network::Regtest), 200, stored).unwrap_err();
    assert_eq!(error, HeaderError::BrokenChain { height: 3 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever branches are offered in whatever order: the chain always is the first seen of the
    /// heaviest ones, and the log of steps rebuilds it.
    #[test]
    fn random_forks_end_on_the_heaviest_chain(
        offers in prop::collection::vec((0_u32..12, 1_u32..15), 1..25)
    ) {
        let mut chain = regtest();
        let mut reader: Vec<BlockRef> = vec![chain.tip().block_ref()];
        for (salt, (back, count)) in offers.into_iter().enumerate() {
            let height = chain.tip().height;
            let fork = height.saturating_sub(back);
            let events = grow(&mut chain, fork, count, u8::try_from(salt).unwrap() + 1);
            prop_assert_eq!(events.is_some(), fork + count > height);
            for event in events.unwrap_or_default() {
                match event {
                    ChainEvent::Disconnected(block) => prop_assert_eq!(reader.pop(), Some(block.block_ref())),
                    ChainEvent::Connected(block) => {
                        prop_assert_eq!(block.header.prev_blockhash, reader.last().unwrap().block_hash);
                        reader.push(block.block_ref());
                    }
                }
            }
            let held: Vec<BlockRef> =
                (0..=chain.tip().height).map(|height| chain.at(height).unwrap().block_ref()).collect();
            prop_assert_eq!(&held, &reader);
        }
    }

    /// The fork point is the last common block, wherever the server's answer starts.
    #[test]
    fn fork_points_are_found(common in 0_u32..20, ours in 0_u32..10, theirs in 1_u32..10, from in 0_u32..20) {
        let mut chain = regtest();
        grow(&mut chain, 0, common, 1);
        let mut other = chain.clone();
        grow(&mut chain, common, ours, 2);
        grow(&mut other, common, theirs, 3);
        let headers: Vec<Header> =
            (from..=other.tip().height).map(|height| other.at(height).unwrap().header).collect();
        let expected = (from <= common).then(|| chain.at(common).unwrap().block_ref());
        prop_assert_eq!(chain.fork_point(from, &headers), expected);
    }
}
