use super::*;

/// Computed by other code: `python3 testdata/digests.py`.
const GOLDEN_INPUT: [(&[&str], &str); 4] = [
    (&[], "764613a7328f68f153012bcf953b2b5f9fdce27d13d861ec6926f6ecb4137eaf"),
    (&[""], "e0525fe5d5a33424da3745ee10813ba5ba4c95b5bf8689528138100278d491cc"),
    (&["Bitcoin is a witness."], "70b15a753cff361ed321d955fcf54b08333548aaf6bf0f7dda895a23649096fd"),
    (&["a", "bc", "Grüße, Welt"], "e5609d4efa5a154823475f0af83cd69e20645c6d82ec4fcb98d05e14b179a593"),
];

#[test]
fn golden_inputs() {
    for (texts, digest) in GOLDEN_INPUT {
        assert_eq!(embed_input(texts).unwrap().to_string(), digest, "{texts:?}");
    }
}

#[test]
fn golden_outputs() {
    let shown =
        |rows, dimensions, values: &[f32]| embed_output(rows, dimensions, values).unwrap().to_string();
    assert_eq!(shown(0, 0, &[]), "f242584d7cc30a4348a655c1c33f1f15f3db052cb61be63e5b97af3a6c6b2a09");
    assert_eq!(
        shown(1, 3, &[0.5, -0.25, 1.0]),
        "1ad919d4251d8cd9964d32c7c7a666173691bac4007df375127011348fc90614"
    );
    assert_eq!(
        shown(2, 2, &[0.1, -0.0, f32::MAX, f32::MIN_POSITIVE]),
        "494de707ae2a34c3abd669c590325a16b97791fee2d09b3e14e2b23de574c0e9"
    );
}

#[test]
fn moving_a_boundary_changes_the_digest() {
    assert_ne!(embed_input(&["ab", "c"]), embed_input(&["a", "bc"]));
    assert_ne!(embed_input(&["ab"]), embed_input(&["ab", ""]));
    let values = [1.0, 2.0, 3.0, 4.0];
    assert_ne!(embed_output(1, 4, &values), embed_output(4, 1, &values));
    assert_ne!(embed_output(1, 1, &[0.0]), embed_output(1, 1, &[-0.0]));
}

#[test]
fn rows_agree_with_the_flat_form_and_ragged_ones_are_refused() {
    assert_eq!(embed_output_rows(&[[1.0, 2.0], [3.0, 4.0]]), embed_output(2, 2, &[1.0, 2.0, 3.0, 4.0]));
    assert_eq!(embed_output_rows(&[vec![1.0], vec![]]), Err(DigestError::Shape));
    assert_eq!(embed_output(2, 2, &[1.0]), Err(DigestError::Shape));
    assert_eq!(embed_output(u32::MAX, u32::MAX, &[1.0]), Err(DigestError::Shape));
}
