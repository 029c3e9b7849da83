use super::*;

const LIMITS: TextLimits =
    TextLimits { max_input_tokens: 8, dimensions: 2, max_items: 3, max_text_bytes: 10 };

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn encoded(length: usize) -> EncodedText {
    let ids: Vec<u32> = (1..).take(length).collect();
    EncodedText { type_ids: vec![0; length], ids, offsets: Vec::new(), truncated: false }
}

#[test]
fn refuses_blank_long_and_many() {
    assert!(check_texts(&texts(&["a", "0123456789"]), &LIMITS).is_ok());
    for blank in ["", " ", "\t\n\u{a0}\u{3000}"] {
        let error = check_texts(&texts(&["a", blank]), &LIMITS).unwrap_err();
        assert_eq!(error, InputError::Empty { field: "texts[1]".into() });
    }
    assert!(matches!(check_texts(&[], &LIMITS), Err(InputError::Empty { .. })));
    assert!(matches!(check_texts(&texts(&["01234567890"]), &LIMITS), Err(InputError::TooLarge { .. })));
    assert!(matches!(check_texts(&texts(&["a"; 4]), &LIMITS), Err(InputError::TooLarge { .. })));
}

#[test]
fn a_cut_text_is_refused_unless_wanted_and_an_empty_one_always() {
    let cut = [encoded(2), EncodedText { truncated: true, ..encoded(8) }];
    assert!(matches!(
        check_encoded(&cut, Truncation::Refuse, &LIMITS),
        Err(InputError::TooLarge { field, .. }) if field == "texts[1]"
    ));
    for truncation in [Truncation::Start, Truncation::End] {
        assert!(check_encoded(&cut, truncation, &LIMITS).is_ok());
        let error = check_encoded(&[encoded(1), encoded(0)], truncation, &LIMITS).unwrap_err();
        assert_eq!(error, InputError::Empty { field: "texts[1]".into() });
    }
}

#[test]
fn a_list_of_tokens_is_bounded_over_all_texts() {
    let half = MAX_LISTED_TOKENS / 2;
    assert!(check_listed(&[encoded(half), encoded(half)]).is_ok());
    let error = check_listed(&[encoded(half), encoded(half), encoded(1)]).unwrap_err();
    assert!(matches!(error, InputError::TooLarge { .. }), "{error}");
}

#[test]
fn token_ids_stay_in_the_vocabulary() {
    let ids = |values: Vec<i64>| Tensor::try_new(vec![1, 2], values.into()).unwrap();
    assert!(check_token_ids(0, &ids(vec![0, 9]), 10, 2).is_ok());
    for bad in [-1, 10, i64::MIN, i64::MAX] {
        assert!(
            matches!(check_token_ids(0, &ids(vec![0, bad]), 10, 2), Err(InputError::Value { .. })),
            "{bad}"
        );
    }
    assert!(matches!(check_token_ids(0, &ids(vec![0, 0]), 10, 1), Err(InputError::TooLarge { .. })));
}
