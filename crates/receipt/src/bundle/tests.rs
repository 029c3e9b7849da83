use proptest::prelude::*;

use super::*;
use crate::testing::Fixture;
use crate::verify::verify_json;
use crate::{Trust, VerifyError};

const GOLDEN: &str = include_str!("../../testdata/bundle-v1.json");

#[test]
fn golden_bundle_verifies_and_is_what_the_fixture_makes() {
    let bundle = Bundle::parse(GOLDEN.as_bytes()).unwrap();
    crate::verify(&bundle, &Fixture::new().trust()).unwrap();
    assert_eq!(bundle.to_json(), GOLDEN);
    assert_eq!(Fixture::new().bundle(), bundle);
}

#[test]
fn building_drops_witnesses_and_verifies() {
    let fixture = Fixture::new();
    let parts = fixture.parts();
    let bundle = build(parts.clone()).unwrap();
    assert!(bundle.anchor.transaction.len() < parts.anchor.transaction.len() * 2);
    assert_eq!(bundle, fixture.bundle());
}

#[test]
fn building_refuses_what_would_not_verify() {
    let parts = Fixture::new().parts();
    let mut other = parts.clone();
    other.receipt_proof.leaf_index += 1;
    assert!(matches!(build(other), Err(BuildError::Verify(VerifyError::Inclusion(..)))));
    let mut other = parts.clone();
    other.anchor.headers.clear();
    assert_eq!(build(other), Err(BuildError::Header));
    let mut other = parts.clone();
    other.anchor.transaction.truncate(20);
    assert_eq!(build(other), Err(BuildError::Transaction("anchor.transaction")));
    let mut other = parts;
    other.anchor.siblings = vec![[0; 32]; MAX_BRANCH + 1];
    let too_long = BundleError::TooLong("anchor.merkle_branch.siblings");
    assert_eq!(build(other), Err(BuildError::Bounds(too_long)));
}

#[test]
fn malformed_bundles_name_the_field() {
    let refused = |json: String| Bundle::parse(json.as_bytes()).unwrap_err().to_string();
    let other = GOLDEN.replacen("\"version\": 1", "\"version\": 2", 1);
    assert_eq!(refused(other), "version is 2, this reads version 1");
    let repeated = GOLDEN.replacen('{', "{\"checkpoint\": \"\",", 1);
    assert!(refused(repeated).contains("duplicate field `checkpoint`"));
    let unknown = GOLDEN.replacen("\"vout\"", "\"extra\": 1, \"vout\"", 1);
    assert!(refused(unknown.clone()).starts_with("anchor"), "{}", refused(unknown));
    let number = GOLDEN.replacen("\"position\": 2", "\"position\": 2.0", 1);
    assert!(refused(number.clone()).starts_with("anchor.merkle_branch.position"), "{}", refused(number));
    assert!(refused(format!("{GOLDEN}x")).contains("trailing"));
    assert_eq!(Bundle::parse(&vec![b' '; MAX_BUNDLE_BYTES + 1]), Err(BundleError::TooLarge));
    let deep = format!("{{\"version\": 1, \"anchor\": {}", "[".repeat(100_000));
    assert!(Bundle::parse(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn parsing_anything_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[\\[\\]{}\":,0-9a-z.e-]{0,200}") {
        prop_assert!(verify_json(&bytes, &Trust::default()).is_err());
        prop_assert!(verify_json(text.as_bytes(), &Trust::default()).is_err());
    }

    #[test]
    fn an_overwritten_stretch_never_verifies(at in 0_usize..10_000, with in "[ -~]{1,12}") {
        let start = at % (GOLDEN.len() - with.len());
        let (before, rest) = GOLDEN.split_at_checked(start).unwrap_or((GOLDEN, ""));
        let Some(after) = rest.get(with.len()..) else { return Ok(()) };
        let altered = format!("{before}{with}{after}");
        let same = Bundle::parse(altered.as_bytes()).ok() == Bundle::parse(GOLDEN.as_bytes()).ok();
        prop_assert!(same || verify_json(altered.as_bytes(), &Trust::default()).is_err());
    }
}
