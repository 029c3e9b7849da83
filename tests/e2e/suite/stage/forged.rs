//! What a payer makes of an invoice when it does not keep to its terms.

use std::time::Duration;

use ailayer_platform::clock;
use anyhow::Context as _;
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder};

/// How long the forged invoice may be paid.
const EXPIRY: Duration = Duration::from_secs(600);

/// The seller's payment hash and secret on terms that it never offered: this amount, payable from now on. Nobody has
/// signed it for the seller, so it cannot be written down as a text; a node that is handed it sends real money to the
/// seller's node, which only there turns out not to fit.
pub fn forged(bolt11: &str, amount_msat: u64) -> anyhow::Result<Bolt11Invoice> {
    let real: Bolt11Invoice = bolt11.parse().context("the seller's invoice")?;
    let nobody = SecretKey::from_slice(&[42; 32])?;
    InvoiceBuilder::new(Currency::Regtest)
        .description("not what was agreed".to_owned())
        .payment_hash(*real.payment_hash())
        .payment_secret(*real.payment_secret())
        .payee_pub_key(real.get_payee_pub_key())
        .duration_since_epoch(Duration::from_secs(clock::now_s().0))
        .expiry_time(EXPIRY)
        .min_final_cltv_expiry_delta(real.min_final_cltv_expiry_delta())
        .amount_milli_satoshis(amount_msat)
        .build_signed(|hash| Secp256k1::new().sign_ecdsa_recoverable(hash, &nobody))
        .context("the forged invoice")
}
