use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{InvoiceBuilder, PaymentSecret};

use super::*;

/// An invoice of the node whose secret key is 32 times 0x11.
pub(crate) fn invoice(
    network: Network,
    msat: u64,
    description_hash: Digest,
    payment_hash: PaymentHash,
) -> String {
    let key = SecretKey::from_slice(&[0x11; 32]).unwrap();
    InvoiceBuilder::new(currency_of(network))
        .description_hash(sha256::Hash::from_byte_array(*description_hash.as_bytes()))
        .payment_hash(sha256::Hash::from_byte_array(*payment_hash.0.as_bytes()))
        .payment_secret(PaymentSecret([7; 32]))
        .duration_since_epoch(Duration::from_secs(1_800_000_000))
        .expiry_time(Duration::from_secs(600))
        .min_final_cltv_expiry_delta(144)
        .amount_milli_satoshis(msat)
        .build_signed(|hash| Secp256k1::new().sign_ecdsa_recoverable(hash, &key))
        .unwrap()
        .to_string()
}

pub(crate) fn node_id() -> [u8; 33] {
    let key = SecretKey::from_slice(&[0x11; 32]).unwrap();
    PublicKey::from_secret_key(&Secp256k1::new(), &key).serialize()
}

fn agreement() -> Agreement {
    Agreement {
        network: Network::Regtest,
        amount: AmountMsat::try_new(1070).unwrap(),
        description_hash: Digest::sha256(b"quote"),
        payment_hash: PaymentHash(Digest::sha256(b"preimage")),
        payee: Some(node_id()),
    }
}

fn agreed() -> Invoice {
    let it = agreement();
    Invoice::parse(&invoice(it.network, it.amount.msat(), it.description_hash, it.payment_hash)).unwrap()
}

#[test]
fn an_invoice_says_what_it_commits_to() {
    let invoice = agreed();
    assert_eq!(invoice.check(&agreement()), Ok(()));
    assert_eq!(invoice.expiry, UnixS(1_800_000_600));
    assert_eq!(invoice.payee, node_id());
}

#[test]
fn every_difference_has_its_own_error() {
    let invoice = agreed();
    let check = |change: fn(&mut Agreement)| {
        let mut agreement = agreement();
        change(&mut agreement);
        invoice.check(&agreement)
    };
    let wrong_network = Err(InvoiceError::WrongNetwork(Network::Bitcoin));
    assert_eq!(check(|it| it.network = Network::Bitcoin), wrong_network);
    assert!(matches!(check(|it| it.amount = AmountMsat::ZERO), Err(InvoiceError::WrongAmount { .. })));
    assert_eq!(check(|it| it.description_hash = Digest::sha256(b"")), Err(InvoiceError::WrongDescription));
    let other_hash = check(|it| it.payment_hash = PaymentHash(Digest::sha256(b"")));
    assert_eq!(other_hash, Err(InvoiceError::WrongPaymentHash));
    assert_eq!(check(|it| it.payee = Some([2; 33])), Err(InvoiceError::WrongPayee));
}

#[test]
fn garbage_is_refused() {
    let good = invoice(Network::Regtest, 1, Digest::sha256(b""), PaymentHash(Digest::sha256(b"")));
    let flipped = good.replacen("lnbcrt", "lnbc", 1);
    for text in ["", "lnbcrt1", &good[..good.len() - 1], &flipped] {
        assert!(matches!(Invoice::parse(text), Err(InvoiceError::Malformed(_))), "{text}");
    }
}
