//! Money that leaves: bounded and logged by the payment service itself, whoever asks.

use std::time::Duration;

use ailayer_client::payment::PaymentState;
use ailayer_primitives::{AmountMsat, Digest, PaymentHash};
use anyhow::ensure;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use uuid::Uuid;

use crate::stage::services::Service;
use crate::stage::{PATIENCE, Stage, wait};

const AMOUNT_MSAT: u64 = 5_000;
/// By the defaults: a base of 50 satoshi and one percent.
const FEE_LIMIT_MSAT: u64 = 50_050;
/// Long enough for a payment that does not wait for the log to be on its way.
const WHILE_AWAY: Duration = Duration::from_secs(1);

/// The log is away, and nothing leaves; it comes back, and has the payout before the node finds out that there is no way.
pub async fn one_is_in_the_log_before_it_leaves(stage: &Stage) -> anyhow::Result<()> {
    let node_id = hex::encode(stage.payment.node().await?.node_id);
    let invoice = Invoice::of_nobody()?;
    stage.kill(Service::Audit).await?;
    stage.payment.pay_invoice(&invoice.bolt11, AmountMsat::try_new(AMOUNT_MSAT)?).await?;
    tokio::time::sleep(WHILE_AWAY).await;
    let waiting = stage.payment.payment(invoice.payment_hash).await?;
    ensure!(waiting.state == PaymentState::Pending, "nobody logged it, and it is {:?}", waiting.state);

    stage.restart(Service::Audit).await?;
    wait::until("the node finds no way to nobody", PATIENCE, || async {
        Ok(stage.payment.payment(invoice.payment_hash).await?.state == PaymentState::Failed)
    })
    .await?;
    let Invoice { payee, payment_hash, .. } = invoice;
    let entry = format!(
        r#"{{"type":"application/vnd.ailayer.payout.v1+json","network":"regtest","node_id":"{node_id}","payee_node_id":"{payee}","amount_msat":{AMOUNT_MSAT},"fee_limit_msat":{FEE_LIMIT_MSAT},"payment_hash":"{payment_hash}"}}"#
    );
    ensure!(stage.audit.append(entry.as_bytes()).await?.duplicate, "the log did not have {entry}");
    Ok(())
}

/// Somebody who is not on the network.
struct Invoice {
    bolt11: String,
    payment_hash: PaymentHash,
    payee: PublicKey,
}

impl Invoice {
    fn of_nobody() -> anyhow::Result<Self> {
        let hash = sha256::Hash::hash(Uuid::new_v4().as_bytes());
        let (secp, key) = (Secp256k1::new(), SecretKey::from_slice(&[4; 32])?);
        let invoice = InvoiceBuilder::new(Currency::Regtest)
            .description("for nobody".to_owned())
            .payment_hash(hash)
            .payment_secret(PaymentSecret([6; 32]))
            .current_timestamp()
            .min_final_cltv_expiry_delta(18)
            .amount_milli_satoshis(AMOUNT_MSAT)
            .build_signed(|digest| secp.sign_ecdsa_recoverable(digest, &key))?;
        Ok(Self {
            bolt11: invoice.to_string(),
            payment_hash: PaymentHash(Digest::new(hash.to_byte_array())),
            payee: PublicKey::from_secret_key(&secp, &key),
        })
    }
}
