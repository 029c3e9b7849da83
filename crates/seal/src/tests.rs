use ailayer_primitives::{Digest, JobId, Preimage};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

/// Computed by `testdata/vector.py` with OpenSSL's X25519 and ChaCha20-Poly1305, without this crate's code.
const BUYER_KEY: &str = "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13";
const GATEWAY_KEY: &str = "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20";
const SHARED: &str = "9e004098efc091d4ec2663b4e9f5cfd4d7064571690b4bea97ab146ab9f35056";
const RESULT_KEY: &str = "376c2531cc7b231852a5a78c0bd15ffe8e1a37dac350d6b5aace48fbaeee7941";
const CIPHERTEXT: &str = "497940393aaa06eb5097259056d77b9e661693cd7cc94c0055119f746d7cb6";
const PLAINTEXT: &[u8] = b"what was bought";

/// Every encoding of a point of low order there is, with the top bit clear.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn secret(byte: u8) -> SecretKey {
    SecretKey::new(&Zeroizing::new([byte; 32]))
}

fn bytes32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn job(text: &str) -> JobId {
    text.parse().unwrap()
}

fn preimage() -> Preimage {
    Preimage::new([0x33; 32])
}

fn context() -> Context {
    Context {
        job_id: job("6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11"),
        attempt: 2,
        quote_digest: Digest::sha256(b"the quote"),
        output_digest: Digest::sha256(b"the answer"),
    }
}

fn result_key() -> ResultKey {
    ResultKey::derive(&preimage(), &secret(0x11).agree(&secret(0x22).public_key()), context().job_id)
}

#[test]
fn matches_an_independent_computation() {
    let (buyer, gateway) = (secret(0x11), secret(0x22));
    assert_eq!(hex::encode(buyer.public_key().as_bytes()), BUYER_KEY);
    assert_eq!(hex::encode(gateway.public_key().as_bytes()), GATEWAY_KEY);
    assert_eq!(hex::encode(buyer.agree(&gateway.public_key()).expose()), SHARED);
    assert_eq!(hex::encode(result_key().expose()), RESULT_KEY);
    let ciphertext = result_key().seal(&context(), PLAINTEXT).unwrap();
    assert_eq!(hex::encode(&ciphertext), CIPHERTEXT);
    assert_eq!(result_key().open(&context(), &ciphertext).unwrap(), PLAINTEXT);
}

#[test]
fn both_sides_agree_and_nobody_else_does() {
    let (buyer, gateway, stranger) = (secret(1), secret(2), secret(3));
    let agreed = buyer.agree(&gateway.public_key());
    assert_eq!(agreed.expose(), gateway.agree(&buyer.public_key()).expose());
    for other in [stranger.agree(&gateway.public_key()), stranger.agree(&buyer.public_key())] {
        assert_ne!(agreed.expose(), other.expose());
    }
}

#[test]
fn points_of_low_order_are_refused_in_every_spelling() {
    for point in LOW_ORDER {
        let mut bytes = bytes32(point);
        for _ in 0..2 {
            assert_eq!(PublicKey::try_new(bytes), Err(PublicKeyError::LowOrder), "{point}");
            // The top bit is ignored by X25519.
            bytes[31] ^= 0x80;
        }
    }
}

#[test]
fn other_lengths_and_texts_are_refused() {
    for length in [0, 1, 31, 33, 64] {
        assert_eq!(PublicKey::try_from(vec![9; length].as_slice()), Err(PublicKeyError::Length(length)));
    }
    let key = secret(1).public_key();
    assert_eq!(key.to_string().parse(), Ok(key));
    let json = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key);
    let zeros = format!("x25519:{}=", "A".repeat(43));
    assert_eq!(zeros.parse::<PublicKey>(), Err(PublicKeyError::LowOrder));
    for wrong in ["", "x25519:", "ed25519:AAAA", &key.to_string()[7..], &format!("{key} ")] {
        assert_eq!(wrong.parse::<PublicKey>(), Err(PublicKeyError::Form), "{wrong}");
    }
}

/// A hop of the payment knows the preimage and everything that is public: both keys, the statements, the ciphertext.
#[test]
fn the_preimage_alone_opens_nothing() {
    let ciphertext = result_key().seal(&context(), PLAINTEXT).unwrap();
    let hop = secret(0x44);
    let public = [secret(0x11).public_key(), secret(0x22).public_key()];
    let guesses =
        public.iter().flat_map(|key| [hop.agree(key), SharedSecret::new(Zeroizing::new(*key.as_bytes()))]);
    for guess in guesses.chain([SharedSecret::new(Zeroizing::new([0; 32]))]) {
        let key = ResultKey::derive(&preimage(), &guess, context().job_id);
        assert_eq!(key.open(&context(), &ciphertext), Err(NotOpened));
    }
}

/// The buyer before paying knows everything but the preimage; its hash is in the invoice.
#[test]
fn the_shared_secret_alone_opens_nothing() {
    let ciphertext = result_key().seal(&context(), PLAINTEXT).unwrap();
    let shared = secret(0x11).agree(&secret(0x22).public_key());
    let hash = *preimage().payment_hash().0.as_bytes();
    for guess in [hash, [0; 32], [0x34; 32]] {
        let key = ResultKey::derive(&Preimage::new(guess), &shared, context().job_id);
        assert_eq!(key.open(&context(), &ciphertext), Err(NotOpened));
    }
}

#[test]
fn every_part_of_the_context_is_bound() {
    let ciphertext = result_key().seal(&context(), PLAINTEXT).unwrap();
    let other_job = job("6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c12");
    let other = Digest::sha256(b"other");
    let others = [
        Context { job_id: other_job, ..context() },
        Context { attempt: 1, ..context() },
        Context { quote_digest: other, ..context() },
        Context { output_digest: other, ..context() },
        Context { quote_digest: context().output_digest, output_digest: context().quote_digest, ..context() },
    ];
    for context in others {
        assert_eq!(result_key().open(&context, &ciphertext), Err(NotOpened), "{context:?}");
        assert_ne!(result_key().seal(&context, PLAINTEXT).unwrap(), ciphertext);
    }
    let shared = secret(0x11).agree(&secret(0x22).public_key());
    let key = ResultKey::derive(&preimage(), &shared, other_job);
    assert_eq!(key.open(&context(), &ciphertext), Err(NotOpened));
}

#[test]
fn no_altered_cut_or_longer_ciphertext_opens() {
    let ciphertext = result_key().seal(&context(), PLAINTEXT).unwrap();
    for bit in 0..ciphertext.len() * 8 {
        let mut altered = ciphertext.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(result_key().open(&context(), &altered), Err(NotOpened), "bit {bit}");
    }
    for length in 0..ciphertext.len() {
        assert_eq!(result_key().open(&context(), &ciphertext[..length]), Err(NotOpened));
    }
    let longer = [ciphertext.as_slice(), &[0]].concat();
    assert_eq!(result_key().open(&context(), &longer), Err(NotOpened));
}

#[test]
fn secrets_are_not_printed() {
    let (buyer, gateway) = (secret(1), secret(2));
    assert_eq!(format!("{buyer:?}"), format!("SecretKey({})", buyer.public_key()));
    assert_eq!(format!("{:?}", buyer.agree(&gateway.public_key())), "SharedSecret(secret)");
    assert_eq!(format!("{:?}", result_key()), "ResultKey(secret)");
}

proptest! {
    #[test]
    fn what_is_sealed_opens(plaintext in prop::collection::vec(any::<u8>(), 0..2000), seed: [u8; 32], attempt: u32) {
        let buyer = SecretKey::new(&Zeroizing::new(seed));
        let context = Context { attempt, ..context() };
        let sealing = ResultKey::derive(&preimage(), &secret(2).agree(&buyer.public_key()), context.job_id);
        let opening = ResultKey::derive(&preimage(), &buyer.agree(&secret(2).public_key()), context.job_id);
        let ciphertext = sealing.seal(&context, &plaintext).unwrap();
        prop_assert_eq!(ciphertext.len(), plaintext.len() + 16);
        prop_assert_eq!(opening.open(&context, &ciphertext).unwrap(), plaintext);
    }

    #[test]
    fn opening_and_reading_anything_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "\\PC{0,60}") {
        prop_assert_eq!(result_key().open(&context(), &bytes), Err(NotOpened));
        let _ = PublicKey::try_from(bytes.as_slice());
        let _ = text.parse::<PublicKey>();
    }
}
