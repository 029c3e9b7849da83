use proptest::prelude::*;

use super::*;
use crate::statement::{Closing, Quote, Receipt};
use crate::testing::Fixture;

/// The example of the DSSE specification (secure-systems-lab/dsse protocol.md).
#[test]
fn pre_authentication_encoding_is_that_of_the_specification() {
    let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn signing_is_deterministic_and_opens_again() {
    let fixture = Fixture::new();
    let (signer, receipt) = (&fixture.gateway, &fixture.receipt);
    let envelope = signer.sign(receipt).unwrap();
    assert_eq!(signer.sign(receipt).unwrap(), envelope);
    assert_eq!(Envelope::parse(envelope.as_str()).unwrap(), envelope);
    assert_eq!(&envelope.open::<Receipt>(&signer.public_key()).unwrap(), receipt);
}

#[test]
fn another_kind_key_or_spelling_is_refused() {
    let fixture = Fixture::new();
    let envelope = fixture.gateway.sign(&fixture.quote).unwrap();
    let key = fixture.gateway.public_key();
    assert!(matches!(envelope.open::<Closing>(&key), Err(EnvelopeError::PayloadType { .. })));
    let stranger = GatewaySigner::new(&[9; 32]).public_key();
    assert_eq!(envelope.open::<Quote>(&stranger), Err(EnvelopeError::ForeignKey));
    let text = envelope.as_str();
    for other in
        [format!("{text} "), text.replace(":\"", ": \""), text.replace("payloadType", "payload\\u0054ype")]
    {
        assert_eq!(Envelope::parse(&other), Err(EnvelopeError::NotCanonical), "{other}");
    }
    let twice = text.replace("\"signatures\":[", "\"signatures\":[{\"keyid\":\"\",\"sig\":\"\"},");
    let unknown = text.replace("{\"payload\"", "{\"extra\":1,\"payload\"");
    let repeated = text.replace("{\"payload\"", "{\"payload\":\"\",\"payload\"");
    for malformed in [twice, unknown, repeated, String::new(), "[]".into()] {
        assert!(matches!(Envelope::parse(&malformed), Err(EnvelopeError::Malformed(_))), "{malformed}");
    }
    let large =
        text.replace("{\"payload\":\"", &format!("{{\"payload\":\"{}", "A".repeat(MAX_ENVELOPE_BYTES)));
    assert_eq!(Envelope::parse(&large), Err(EnvelopeError::TooLarge));
}

#[test]
fn a_signature_for_one_kind_does_not_serve_another() {
    let fixture = Fixture::new();
    let quote = fixture.gateway.sign(&fixture.quote).unwrap();
    let renamed = Envelope::parse(&quote.as_str().replace("quote.v1", "receipt.v1")).unwrap();
    assert_eq!(renamed.open::<Receipt>(&fixture.gateway.public_key()), Err(EnvelopeError::BadSignature));
}

proptest! {
    #[test]
    fn parsing_anything_never_panics(text in "\\PC{0,200}", payload in "[A-Za-z0-9+/=]{0,40}", sig in "[A-Za-z0-9+/=]{0,90}") {
        let _ = Envelope::parse(&text);
        let key = GatewaySigner::new(&[1; 32]).public_key();
        let kind = Quote::PAYLOAD_TYPE;
        let keyid = key.key_id();
        let shaped = format!(
            r#"{{"payload":"{payload}","payloadType":"{kind}","signatures":[{{"keyid":"{keyid}","sig":"{sig}"}}]}}"#
        );
        if let Ok(envelope) = Envelope::parse(&shaped) {
            prop_assert_eq!(envelope.open::<Quote>(&key), Err(EnvelopeError::BadSignature));
        }
    }
}
