use super::*;
use bitcoin::hashes::Hash as _;

fn header(time: u32, bits: u32) -> Header {
    Header {
        version: bitcoin::block::Version::TWO,
        prev_blockhash: bitcoin::BlockHash::all_zeros(),
        merkle_root: bitcoin::TxMerkleNode::all_zeros(),
        time,
        bits: CompactTarget::from_consensus(bits),
        nonce: 0,
    }
}

/// The vectors of Bitcoin Core's `pow_tests.cpp`: period start time, last height, last time, last bits, next bits.
const MAINNET_RETARGETS: [(u32, u32, u32, u32, u32); 4] = [
    (1_261_130_161, 32_255, 1_262_152_739, 0x1d00_ffff, 0x1d00_d86a),
    (1_231_006_505, 2_015, 1_233_061_996, 0x1d00_ffff, 0x1d00_ffff),
    (1_279_008_237, 68_543, 1_279_297_671, 0x1c05_a3f4, 0x1c01_68fd),
    (1_263_163_443, 46_367, 1_269_211_443, 0x1c38_7f6f, 0x1d00_e1fd),
];

#[test]
fn mainnet_retargets_as_core_does() {
    let rules = Rules::of(Network::Bitcoin);
    for (first_time, last_height, last_time, bits, next) in MAINNET_RETARGETS {
        let expected = rules.expected_bits(last_height + 1, last_time + 600, |height| {
            if height == last_height { Some(header(last_time, bits)) } else { Some(header(first_time, bits)) }
        });
        assert_eq!(expected.map(CompactTarget::to_consensus), Some(next), "after {last_height}");
    }
}

#[test]
fn between_boundaries_mainnet_keeps_its_bits_however_late() {
    let rules = Rules::of(Network::Bitcoin);
    let bits = rules.expected_bits(2_017, u32::MAX, |_| Some(header(1, 0x1c05_a3f4)));
    assert_eq!(bits.map(CompactTarget::to_consensus), Some(0x1c05_a3f4));
}

#[test]
fn a_period_that_ran_backwards_counts_as_the_shortest() {
    let rules = Rules::of(Network::Bitcoin);
    let ask = |first: u32, last: u32| {
        rules.expected_bits(4_032, 0, |height| {
            Some(header(if height == 4_031 { last } else { first }, 0x1c05_a3f4))
        })
    };
    assert_eq!(ask(1_000_000, 5), ask(0, 302_400));
}

#[test]
fn regtest_never_changes() {
    let rules = Rules::of(Network::Regtest);
    for height in [1, 2_016, 4_032] {
        let bits = rules.expected_bits(height, u32::MAX, |_| Some(header(1, 0x207f_ffff)));
        assert_eq!(bits.map(CompactTarget::to_consensus), Some(0x207f_ffff));
    }
}

#[test]
fn testnet4_allows_easy_late_blocks_and_returns_to_the_real_difficulty() {
    let rules = Rules::of(Network::Testnet4);
    let limit = 0x1d00_ffff;
    let chain = |height: u32| Some(header(1_000, if height > 5_000 { limit } else { 0x1b01_2345 }));
    let bits = |height, time| rules.expected_bits(height, time, chain).map(CompactTarget::to_consensus);
    assert_eq!(bits(5_006, 1_000 + 1_201), Some(limit), "20 minutes late");
    assert_eq!(bits(5_006, 1_000 + 1_200), Some(0x1b01_2345), "the last block that was not easy");
    // The walk back stops at the first block of the period, easy or not.
    assert_eq!(bits(6_050, 1_000), Some(limit));
}

#[test]
fn bip94_retargets_from_the_first_block_of_the_period() {
    let rules = Rules::of(Network::Testnet4);
    let next = rules.expected_bits(4_032, 0, |height| {
        // The last block of the period was an easy one; the first carries the real difficulty.
        Some(if height == 4_031 { header(1_209_600, 0x1d00_ffff) } else { header(0, 0x1b01_2345) })
    });
    assert_eq!(next.map(CompactTarget::to_consensus), Some(0x1b01_2345));
    assert!(rules.is_timewarp(4_032, 399, 1_000));
    assert!(!rules.is_timewarp(4_032, 400, 1_000));
    assert!(!rules.is_timewarp(4_033, 0, 1_000));
    assert!(!Rules::of(Network::Bitcoin).is_timewarp(4_032, 0, 1_000));
}

#[test]
fn a_missing_ancestor_is_no_answer() {
    let rules = Rules::of(Network::Bitcoin);
    assert_eq!(rules.expected_bits(0, 0, |_| Some(header(0, 1))), None);
    assert_eq!(
        rules.expected_bits(2_016, 0, |height| (height == 2_015).then(|| header(0, 0x1d00_ffff))),
        None
    );
}
