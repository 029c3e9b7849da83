use ailayer_primitives::{AmountMsat, UnixMs};
use proptest::prelude::*;

use super::*;
use crate::testing::Fixture;

fn json<S: Statement>(statement: &S) -> String {
    serde_json::to_string(statement).unwrap()
}

fn refused<S: Statement + std::fmt::Debug>(payload: &str) -> String {
    S::parse(payload.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_receipt_says_claim_authorised() {
    assert!(json(&Fixture::new().receipt).contains(r#""claims":"claim authorised""#));
}

#[test]
fn unknown_repeated_and_missing_fields_are_refused() {
    let quote = json(&Fixture::new().quote);
    assert!(refused::<Quote>(&quote.replacen('{', r#"{"tip":1,"#, 1)).contains("unknown field `tip`"));
    assert!(
        refused::<Quote>(&quote.replacen('{', r#"{"version":1,"#, 1)).contains("duplicate field `version`")
    );
    assert!(
        refused::<Quote>(&quote.replace(r#""input_tokens":8,"#, "")).contains("missing field `input_tokens`")
    );
    let nested = quote.replace(r#""model":{"#, r#""model":{"name":"x","#);
    assert!(refused::<Quote>(&nested).starts_with("model"), "{}", refused::<Quote>(&nested));
    assert!(refused::<Quote>(&format!("{quote} 1")).contains("trailing"));
}

#[test]
fn numbers_are_exact_integers() {
    let quote = json(&Fixture::new().quote);
    for number in ["8.0", "8e0", "-8", "\"8\"", "9007199254740992", "18446744073709551616", "null"] {
        let altered = quote.replace(r#""input_tokens":8"#, &format!(r#""input_tokens":{number}"#));
        assert!(refused::<Quote>(&altered).contains("input_tokens"), "{number}");
    }
    let largest = quote.replace(r#""input_tokens":8"#, r#""input_tokens":9007199254740991"#);
    assert!(Quote::parse(largest.as_bytes()).is_ok());
}

#[test]
fn bounds_hold_when_signing_too() {
    let fixture = Fixture::new();
    let refused = |result: Result<crate::Envelope, crate::EnvelopeError>| result.unwrap_err().to_string();
    let receipt = Receipt { completed_unix_ms: UnixMs(MAX_INTEGER + 1), ..fixture.receipt.clone() };
    assert_eq!(refused(fixture.gateway.sign(&receipt)), "payload: completed_unix_ms is above 2^53 - 1");
    let receipt = Receipt { price_msat: AmountMsat::MAX, ..fixture.receipt.clone() };
    assert_eq!(refused(fixture.gateway.sign(&receipt)), "payload: price_msat is above 2^53 - 1");
    let receipt = Receipt { execution_provider: "x".repeat(129), ..fixture.receipt.clone() };
    assert!(refused(fixture.gateway.sign(&receipt)).contains("execution_provider is empty, longer"));
    let receipt = Receipt { version: 2, ..fixture.receipt };
    assert_eq!(refused(fixture.gateway.sign(&receipt)), "payload: version is 2, not 1");
    let mut quote = fixture.quote.clone();
    quote.model.name = "two\nlines".into();
    assert!(refused(fixture.gateway.sign(&quote)).contains("model.name"));
    let mut quote = fixture.quote;
    quote.expiry_unix_s.0 = quote.created_unix_s.0 - 1;
    assert!(refused(fixture.gateway.sign(&quote)).contains("before created_unix_s"));
    let closing = Closing { outcome: Outcome::Voided, ..fixture.closing.unwrap() };
    assert!(refused(fixture.gateway.sign(&closing)).contains("VOIDED"));
}

#[test]
fn a_payment_is_named_on_the_hold_rail_and_only_there() {
    let fixture = Fixture::new();
    let without = Receipt { payment_hash: None, ..fixture.receipt.clone() };
    let prepaid = Receipt { rail: Rail::Prepaid, ..without.clone() };
    let text = json(&prepaid);
    assert!(text.contains(r#""rail":"prepaid""#) && !text.contains("payment_hash"), "{text}");
    assert_eq!(Receipt::parse(text.as_bytes()).unwrap(), prepaid);
    assert!(refused::<Receipt>(&json(&without)).contains("payment_hash"));
    let both = Receipt { rail: Rail::Prepaid, ..fixture.receipt };
    assert!(refused::<Receipt>(&json(&both)).contains("payment_hash"));
}

#[test]
fn tokens_are_of_texts_and_bytes_of_tensors() {
    let fixture = Fixture::new();
    let text = json(&fixture.quote) + &json(&fixture.receipt);
    assert!(!text.contains("tensor_bytes"), "old statements stay as they are: {text}");
    let infer = Quote { task: Task::Infer, input_tokens: 0, tensor_bytes: 5, ..fixture.quote.clone() };
    let text = json(&infer);
    assert!(text.contains(r#""task":"infer""#) && text.contains(r#""tensor_bytes":5"#), "{text}");
    assert_eq!(Quote::parse(text.as_bytes()).unwrap(), infer);
    for wrong in [Quote { input_tokens: 1, ..infer }, Quote { tensor_bytes: 1, ..fixture.quote }] {
        assert!(refused::<Quote>(&json(&wrong)).contains("bytes of tensors"));
    }
    let usage = Usage { tensor_bytes: MAX_INTEGER + 1, ..fixture.receipt.usage };
    assert!(refused::<Receipt>(&json(&Receipt { usage, ..fixture.receipt })).contains("usage.tensor_bytes"));
}

#[test]
fn a_seal_is_left_out_or_complete_and_on_the_hold_rail() {
    let plain = Fixture::new();
    let text = json(&plain.quote) + &json(&plain.receipt);
    assert!(!text.contains("seal"), "old statements stay as they are: {text}");
    let sealed = Fixture::sealed();
    let (quote, receipt) = (json(&sealed.quote), json(&sealed.receipt));
    assert_eq!(Quote::parse(quote.as_bytes()).unwrap(), sealed.quote);
    assert_eq!(Receipt::parse(receipt.as_bytes()).unwrap(), sealed.receipt);
    let key = sealed.quote.seal.unwrap().buyer_key.to_string();
    let zeros = format!("x25519:{}=", "A".repeat(43));
    assert!(refused::<Quote>(&quote.replace(&key, &zeros)).contains("low order"));
    assert!(refused::<Quote>(&quote.replace("\"buyer_key\"", "\"buyer\"")).contains("buyer"));
    let prepaid = Quote { rail: Rail::Prepaid, ..sealed.quote };
    assert!(refused::<Quote>(&json(&prepaid)).contains("hold rail"));
    let prepaid = Receipt { rail: Rail::Prepaid, payment_hash: None, ..sealed.receipt };
    assert!(refused::<Receipt>(&json(&prepaid)).contains("hold rail"));
}

proptest! {
    #[test]
    fn parsing_anything_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,0-9a-z.e-]{0,100}") {
        for payload in [bytes.as_slice(), text.as_bytes()] {
            let _ = Quote::parse(payload);
            let _ = Receipt::parse(payload);
            let _ = Closing::parse(payload);
        }
    }
}
