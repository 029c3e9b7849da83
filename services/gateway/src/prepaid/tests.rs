use super::*;

fn price(per_call: u64, per_token: u64) -> Price {
    Price { per_call: msat(per_call), per_token: msat(per_token) }
}

fn msat(amount: u64) -> AmountMsat {
    AmountMsat::try_new(amount).unwrap()
}

fn model(max_input_tokens: u32) -> Loaded {
    Loaded {
        name: "mini".to_owned(),
        version: "1".to_owned(),
        digest: Digest::sha256(b"model"),
        kind: "embedding".to_owned(),
        execution_provider: "CPUExecutionProvider".to_owned(),
        max_input_tokens,
        dimensions: 2,
        max_items: 8,
        max_text_bytes: 100,
    }
}

#[test]
fn no_text_has_more_tokens_than_bytes_but_for_the_special_ones() {
    let input = |texts: &[&str]| EmbedInput {
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        truncate: false,
    };
    assert_eq!(most_tokens(&input(&["a", "four"]), &model(256)), 1 + 3 + 4 + 3);
    assert_eq!(most_tokens(&input(&["a text that is longer than the model reads"]), &model(8)), 8);
}

#[test]
fn a_cap_is_never_above_what_the_caller_allows() {
    let of = |limit| cap(&price(1000, 10), 100, limit);
    assert_eq!(of(None).unwrap(), msat(2000));
    assert_eq!(of(Some(msat(5000))).unwrap(), msat(2000));
    assert_eq!(of(Some(msat(1500))).unwrap(), msat(1500), "the charge is capped");
    assert_eq!(of(Some(msat(1010))).unwrap(), msat(1010));
    let refused = of(Some(msat(1009)));
    assert!(matches!(refused, Err(PrepaidError::TooExpensive { .. })), "{refused:?}");
    assert!(matches!(cap(&price(0, 10), 0, None), Err(PrepaidError::Price(PriceError::Zero))));
}
