use super::*;

const LIMITS: OrderLimits = OrderLimits { max_items: 3, max_text_bytes: 8, max_input_bytes: 12 };

fn order() -> Order {
    Order {
        request_id: "7b0f6c0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap(),
        model_name: "all-minilm-l6-v2".to_owned(),
        model_version: String::new(),
        input: EmbedInput { texts: vec!["hello".to_owned(), "world".to_owned()], truncate: false },
        network: Network::Regtest,
        sealed_to: None,
    }
}

fn key(byte: u8) -> PublicKey {
    ailayer_seal::SecretKey::new(&zeroize::Zeroizing::new([byte; 32])).public_key()
}

fn refused(change: impl Fn(&mut Order)) -> OrderError {
    let mut order = order();
    change(&mut order);
    order.check(Network::Regtest, &LIMITS).unwrap_err()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn an_order_within_the_limits_is_taken() {
    assert_eq!(order().check(Network::Regtest, &LIMITS), Ok(()));
}

#[test]
fn every_rule_has_its_own_error() {
    let time_based = "0190f6c0-6f3c-7f7c-9f5e-0a7f3f0d9c11".parse().unwrap();
    assert_eq!(refused(|it| it.request_id = time_based), OrderError::RequestId);
    assert_eq!(refused(|it| it.network = Network::Signet), OrderError::WrongNetwork(Network::Regtest));
    assert_eq!(refused(|it| it.model_name = String::new()), OrderError::Name("model_name"));
    assert_eq!(refused(|it| it.model_name = "a\n".to_owned()), OrderError::Name("model_name"));
    assert_eq!(refused(|it| it.model_version = "1".repeat(129)), OrderError::Name("model_version"));
    assert_eq!(refused(|it| it.input.texts.clear()), OrderError::NoTexts);
    assert_eq!(refused(|it| it.input.texts = texts(&["a", ""])), OrderError::EmptyText(1));
    let too_many = OrderError::TooManyTexts { found: 4, limit: 3 };
    assert_eq!(refused(|it| it.input.texts = texts(&["a"; 4])), too_many);
    let too_long = OrderError::TextTooLong { index: 0, found: 9, limit: 8 };
    assert_eq!(refused(|it| it.input.texts = texts(&["123456789"])), too_long);
    let all_too_long = OrderError::InputTooLong { found: 13, limit: 12 };
    assert_eq!(refused(|it| it.input.texts = texts(&["1234567", "123456"])), all_too_long);
}

#[test]
fn the_body_digest_covers_everything_but_the_request_id() {
    let digest = order().body_digest();
    let changed = |change: fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        order.body_digest()
    };
    assert_eq!(changed(|it| it.request_id = "11111111-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap()), digest);
    let others = [
        changed(|it| it.network = Network::Bitcoin),
        changed(|it| it.sealed_to = Some(key(1))),
        changed(|it| it.sealed_to = Some(key(2))),
        changed(|it| it.model_name = "other".to_owned()),
        changed(|it| it.model_version = "1".to_owned()),
        changed(|it| it.input.truncate = true),
        changed(|it| it.input.texts = texts(&["helloworld"])),
        changed(|it| it.input.texts = texts(&["hell", "oworld"])),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, digest, "change {index}");
    }
}
