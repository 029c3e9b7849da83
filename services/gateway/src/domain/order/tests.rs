use ailayer_receipt::tensor::{Tensor, Tensors};

use super::*;

const LIMITS: OrderLimits =
    OrderLimits { max_items: 3, max_text_bytes: 8, max_output_bytes: 99, max_input_bytes: 12 };

fn order() -> Order {
    Order {
        request_id: "7b0f6c0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap(),
        model_name: "all-minilm-l6-v2".to_owned(),
        model_version: String::new(),
        input: JobInput::Embed(EmbedInput {
            texts: vec!["hello".to_owned(), "world".to_owned()],
            truncate: false,
        }),
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

fn body_digest(order: &Order) -> Digest {
    order.body_digest(&order.input.digest().unwrap())
}

fn input(order: &mut Order) -> &mut EmbedInput {
    match &mut order.input {
        JobInput::Embed(input) => input,
        JobInput::Infer(_) => panic!("tensors"),
    }
}

fn tensor(name: &str, bytes: usize) -> Tensor {
    Tensor {
        name: name.to_owned(),
        datatype: "UINT8".to_owned(),
        shape: vec![u64::try_from(bytes).unwrap()],
        contents: vec![7; bytes],
    }
}

fn infer(tensors: &[(&str, usize)], outputs: &[&str]) -> JobInput {
    let tensors = tensors.iter().map(|(name, bytes)| tensor(name, *bytes)).collect();
    JobInput::Infer(Inference { inputs: Tensors::try_new(tensors).unwrap(), outputs: texts(outputs) })
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
    assert_eq!(refused(|it| input(it).texts.clear()), OrderError::NoTexts);
    assert_eq!(refused(|it| input(it).texts = texts(&["a", ""])), OrderError::EmptyText(1));
    let too_many = OrderError::TooManyTexts { found: 4, limit: 3 };
    assert_eq!(refused(|it| input(it).texts = texts(&["a"; 4])), too_many);
    let too_long = OrderError::TextTooLong { index: 0, found: 9, limit: 8 };
    assert_eq!(refused(|it| input(it).texts = texts(&["123456789"])), too_long);
    let all_too_long = OrderError::InputTooLong { found: 13, limit: 12 };
    assert_eq!(refused(|it| input(it).texts = texts(&["1234567", "123456"])), all_too_long);
}

#[test]
fn tensors_have_limits_too() {
    let with = |input: JobInput| Order { input, ..order() }.check(Network::Regtest, &LIMITS);
    assert_eq!(with(infer(&[("a", 6), ("b", 6)], &["y"])), Ok(()));
    let too_long = OrderError::TensorsTooLong { found: 13, limit: 12 };
    assert_eq!(with(infer(&[("a", 6), ("b", 7)], &[])), Err(too_long));
    let too_many = |field| OrderError::TooManyTensors { field, found: 4, limit: 3 };
    assert_eq!(with(infer(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)], &[])), Err(too_many("infer.inputs")));
    assert_eq!(with(infer(&[("a", 1)], &["y"; 4])), Err(too_many("infer.outputs")));
    assert_eq!(with(infer(&[("a", 1)], &[""])), Err(OrderError::Name("infer.outputs")));
    assert_eq!(with(infer(&[("a", 0)], &[])), Err(OrderError::EmptyTensor("a".to_owned())));
}

#[test]
fn a_model_takes_what_it_is_for() {
    let spec =
        |name: &str| TensorSpec { name: name.to_owned(), datatype: "UINT8".to_owned(), shape: vec![None] };
    let check = |input: &JobInput, kind, specs: &[TensorSpec]| input.check_model(kind, specs, specs);
    let tensors = infer(&[("a", 1)], &[]);
    assert_eq!(check(&order().input, "embedding", &[]), Ok(()));
    assert_eq!(check(&order().input, "tensor", &[spec("a")]), Err(OrderError::WrongTask("texts")));
    assert_eq!(check(&tensors, "tensor", &[spec("a")]), Ok(()));
    assert_eq!(check(&tensors, "tensor", &[]), Err(OrderError::NotDescribed));
    let misfit = Misfit::NoInput("a".to_owned());
    assert_eq!(check(&tensors, "tensor", &[spec("b")]), Err(OrderError::Misfit(misfit)));
    for other in ["embedding", "", "something new"] {
        assert_eq!(check(&tensors, other, &[spec("a")]), Err(OrderError::WrongTask("tensors")));
    }
}

#[test]
fn what_is_stored_is_read_again() {
    for input in [order().input, infer(&[("a", 2), ("b", 0)], &["y"])] {
        let bytes = input.to_bytes().unwrap();
        assert_eq!(JobInput::from_bytes(&bytes), Some(input));
        assert_eq!(JobInput::from_bytes(&bytes[..bytes.len() - 1]), None);
    }
    // As it has been stored before tensors were sold.
    let stored = br#"{"texts":["hello","world"],"truncate":false}"#;
    assert_eq!(JobInput::from_bytes(stored), Some(order().input));
    assert_eq!(JobInput::from_bytes(b""), None);
}

#[test]
fn the_body_digest_covers_everything_but_the_request_id() {
    let digest = body_digest(&order());
    let changed = |change: fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        body_digest(&order)
    };
    assert_eq!(changed(|it| it.request_id = "11111111-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap()), digest);
    let others = [
        changed(|it| it.network = Network::Bitcoin),
        changed(|it| it.sealed_to = Some(key(1))),
        changed(|it| it.sealed_to = Some(key(2))),
        changed(|it| it.input = infer(&[("a", 2)], &[])),
        changed(|it| it.model_name = "other".to_owned()),
        changed(|it| it.model_version = "1".to_owned()),
        changed(|it| input(it).truncate = true),
        changed(|it| input(it).texts = texts(&["helloworld"])),
        changed(|it| input(it).texts = texts(&["hell", "oworld"])),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, digest, "change {index}");
    }
}
