//! A sealed answer, as a buyer checks and opens it.

use ailayer_primitives::Preimage;
use ailayer_receipt::answer;
use ailayer_receipt::statement::Seal;
use ailayer_seal::{Context, ResultKey, SecretKey};
use zeroize::Zeroizing;

use super::*;

/// Everything of one sealed purchase; a test alters what it is about.
struct Sale {
    quote: Quote,
    receipt: Receipt,
    ciphertext: Vec<u8>,
}

fn secret(byte: u8) -> SecretKey {
    SecretKey::new(&Zeroizing::new([byte; 32]))
}

fn preimage() -> Preimage {
    Preimage::new([0x42; 32])
}

fn sealed_order() -> Order {
    Order { sealed_to: Some(secret(1).public_key()), ..order() }
}

fn sealed_quote() -> Quote {
    let seal = Seal { buyer_key: secret(1).public_key(), gateway_key: secret(2).public_key() };
    Quote { seal: Some(seal), ..quote() }
}

fn sealed_offer(quote: &Quote) -> Offer {
    let envelope = signer().sign(quote).unwrap();
    let payment_hash = preimage().payment_hash();
    Offer {
        bolt11: invoice(quote.network, quote.price_msat.msat(), envelope.digest(), payment_hash),
        payment_hash,
        ..offer(quote)
    }
}

fn sealed_purchase() -> Purchase {
    check_offer(&sealed_order(), &terms(), &sealed_offer(&sealed_quote()), NOW).unwrap()
}

fn context(receipt: &Receipt) -> Context {
    let (job_id, attempt) = (receipt.job_id, receipt.attempt);
    Context { job_id, attempt, quote_digest: receipt.quote_digest, output_digest: receipt.output_digest }
}

/// What a seller sends who seals these bytes.
fn sell(plaintext: &[u8]) -> Sale {
    let purchase = sealed_purchase();
    let receipt = Receipt {
        payment_hash: Some(purchase.payment_hash),
        quote_digest: purchase.quote_digest,
        ..receipt()
    };
    let shared = secret(2).agree(&secret(1).public_key());
    let key = ResultKey::derive(&preimage(), &shared, purchase.job_id());
    let ciphertext = key.seal(&context(&receipt), plaintext).unwrap();
    let sealed_digest = Some(Digest::sha256(&ciphertext));
    Sale { quote: sealed_quote(), receipt: Receipt { sealed_digest, ..receipt }, ciphertext }
}

fn honest() -> Sale {
    sell(&delivered(rows()).to_bytes())
}

impl Sale {
    fn receipt_text(&self) -> String {
        signer().sign(&self.receipt).unwrap().into_string()
    }

    fn open_with(&self, secret: &SecretKey, preimage: &Preimage) -> Result<Answer, AnswerError> {
        let offer = sealed_offer(&self.quote);
        let purchase = kept_purchase(terms().seller, &offer.quote, &offer.bolt11).unwrap();
        open_sealed(&purchase, &self.receipt_text(), &self.ciphertext, secret, preimage)
            .map(|(_, answer)| answer)
    }

    fn open(&self) -> Result<Answer, AnswerError> {
        self.open_with(&secret(1), &preimage())
    }

    fn check(&self) -> Result<Receipt, AnswerError> {
        check_sealed(&sealed_purchase(), &self.receipt_text(), &self.ciphertext)
    }
}

#[test]
fn an_honest_sealed_answer_opens() {
    let sale = honest();
    assert_eq!(sale.check().unwrap(), sale.receipt);
    assert_eq!(sale.open().unwrap(), answer());
}

#[test]
fn an_offer_with_another_seal_than_asked_for_is_refused() {
    let other = Some(Seal { buyer_key: secret(3).public_key(), gateway_key: secret(2).public_key() });
    for seal in [None, other] {
        let offer = sealed_offer(&Quote { seal, ..sealed_quote() });
        let refused = check_offer(&sealed_order(), &terms(), &offer, NOW);
        assert_eq!(refused, Err(OfferError::Other("sealing key")));
    }
    let refused = check_offer(&order(), &terms(), &sealed_offer(&sealed_quote()), NOW);
    assert_eq!(refused, Err(OfferError::Other("sealing key")), "nobody asked for a seal");
}

#[test]
fn what_is_not_what_the_receipt_names_is_not_acknowledged() {
    let mut altered = honest();
    altered.ciphertext[0] ^= 1;
    assert_eq!(altered.check(), Err(AnswerError::SealedDigest));
    let mut unsealed = honest();
    unsealed.receipt.sealed_digest = None;
    assert_eq!(unsealed.check(), Err(AnswerError::Seal("in the clear")));
    let mut another = honest();
    another.receipt.payment_hash = Some(PaymentHash(Digest::sha256(b"another")));
    assert_eq!(another.check(), Err(AnswerError::Differs("payment")));
}

#[test]
fn a_hop_or_a_stranger_opens_nothing() {
    let sale = honest();
    assert_eq!(sale.open_with(&secret(7), &preimage()), Err(AnswerError::NotOurs("secret key")), "a hop");
    let guess = Preimage::new([0x43; 32]);
    assert_eq!(sale.open_with(&secret(1), &guess), Err(AnswerError::NotOurs("preimage")), "before paying");
}

/// Whatever a seller seals, it is caught against what the seller signed.
#[test]
fn a_wrong_answer_is_provable() {
    let no_answer = |plaintext: &[u8]| sell(plaintext).open().unwrap_err();
    assert_eq!(no_answer(b""), AnswerError::NoAnswer("malformed"));
    assert_eq!(no_answer(b"a poem"), AnswerError::NoAnswer("malformed"));
    let row = |value| answer::Row { values: vec![value], input_tokens: 3, truncated: false };
    let bytes = |rows| answer::Answer::try_new(rows).unwrap().to_bytes();
    assert_eq!(no_answer(&bytes(vec![row(1.0)])), AnswerError::Shape);
    assert_eq!(no_answer(&bytes(vec![row(1.0), row(2.0)])), AnswerError::OutputDigest);

    let mut garbage = honest();
    garbage.ciphertext = b"not sealed with the key of this payment".to_vec();
    garbage.receipt.sealed_digest = Some(Digest::sha256(&garbage.ciphertext));
    assert!(garbage.check().is_ok(), "it is seen only after paying");
    assert_eq!(garbage.open(), Err(AnswerError::NoAnswer("it does not open")));
    let mut retold = honest();
    retold.receipt.attempt += 1;
    assert_eq!(retold.open(), Err(AnswerError::NoAnswer("it does not open")), "another attempt");
}

#[test]
fn a_kept_purchase_is_the_checked_one_also_when_the_quote_has_ended() {
    let offer = sealed_offer(&sealed_quote());
    assert_eq!(kept_purchase(terms().seller, &offer.quote, &offer.bolt11), Ok(sealed_purchase()));
    let other = sealed_offer(&Quote { input_tokens: 8, ..sealed_quote() });
    assert!(kept_purchase(terms().seller, &offer.quote, &other.bolt11).is_err());
    assert!(kept_purchase(GatewaySigner::new(&[9; 32]).public_key(), &offer.quote, &offer.bolt11).is_err());
}
