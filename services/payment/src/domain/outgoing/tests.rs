use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{InvoiceBuilder, PaymentSecret};

use super::*;

const CREATED: u64 = 1_700_000_000;

fn key() -> SecretKey {
    SecretKey::from_slice(&[3; 32]).unwrap()
}

fn invoice(currency: Currency, amount_msat: Option<u64>) -> String {
    let builder = InvoiceBuilder::new(currency)
        .description("test".to_owned())
        .payment_hash(sha256::Hash::hash(&[5; 32]))
        .payment_secret(PaymentSecret([6; 32]))
        .duration_since_epoch(Duration::from_secs(CREATED))
        .expiry_time(Duration::from_secs(60))
        .min_final_cltv_expiry_delta(18);
    let builder = match amount_msat {
        Some(amount) => builder.amount_milli_satoshis(amount),
        None => builder,
    };
    builder.build_signed(|hash| Secp256k1::new().sign_ecdsa_recoverable(hash, &key())).unwrap().to_string()
}

fn other_node() -> PublicKey {
    PublicKey::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&[4; 32]).unwrap())
}

fn msat(amount: u64) -> AmountMsat {
    AmountMsat::try_new(amount).unwrap()
}

#[test]
fn a_good_invoice_is_read() {
    let payable = parse_invoice(&invoice(Currency::Regtest, Some(2_000)), Network::Regtest).unwrap();
    assert_eq!(payable.amount, msat(2_000));
    assert_eq!(payable.payment_hash.0, Digest::sha256(&[5; 32]));
    assert_eq!(payable.check(UnixS(CREATED + 60), msat(2_000), &other_node()), Ok(()));
}

#[test]
fn what_cannot_be_paid_is_refused_by_its_reason() {
    let parse = |text: &str| parse_invoice(text, Network::Regtest).map(|payable| payable.amount);
    assert_eq!(parse("lnbcrt1garbage"), Err(InvoiceRefused::Malformed));
    let foreign = invoice(Currency::Bitcoin, Some(2_000));
    assert_eq!(parse(&foreign), Err(InvoiceRefused::WrongNetwork(Network::Regtest)));
    assert_eq!(parse(&invoice(Currency::Regtest, None)), Err(InvoiceRefused::NoAmount));
    assert_eq!(parse(&invoice(Currency::Regtest, Some(0))), Err(InvoiceRefused::NoAmount));

    let payable = parse_invoice(&invoice(Currency::Regtest, Some(2_000)), Network::Regtest).unwrap();
    let expired = payable.check(UnixS(CREATED + 61), msat(2_000), &other_node());
    assert_eq!(expired, Err(InvoiceRefused::Expired));
    let dear = payable.check(UnixS(CREATED), msat(1_999), &other_node());
    assert_eq!(dear, Err(InvoiceRefused::AboveLimit { asked: msat(2_000), limit: msat(1_999) }));
    let own = PublicKey::from_secret_key(&Secp256k1::new(), &key());
    assert_eq!(payable.check(UnixS(CREATED), msat(2_000), &own), Err(InvoiceRefused::Own));
}

#[test]
fn the_fee_limit_is_a_base_and_a_share() {
    assert_eq!(fee_limit(msat(1_000_000), msat(50_000), 10_000), msat(60_000));
    assert_eq!(fee_limit(msat(99), msat(0), 10_000), msat(0));
    assert_eq!(fee_limit(AmountMsat::MAX, AmountMsat::MAX, u32::MAX), AmountMsat::MAX);
}

#[test]
fn names_round_trip() {
    for state in PaymentState::ALL {
        assert_eq!(PaymentState::from_name(state.as_str()), Some(state));
    }
}
