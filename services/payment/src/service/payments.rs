//! Outgoing payments: intent first, then the node, and only events end them.

use std::sync::Arc;

use ailayer_platform::clock;
use ailayer_primitives::{AmountMsat, Digest, Network, PaymentHash};
use ailayer_store::event_log::Signal;
use tokio::sync::Notify;

use crate::domain::outgoing::{InvoiceRefused, OutgoingPayment, PaymentState, fee_limit, parse_invoice};
use crate::domain::payout::{Payout, PayoutLimits};
use crate::error::ServiceError;
use crate::ports::{LightningNode, NodeRecord, SendError};
use crate::service::payouts::Payouts;
use crate::service::sync_gate::SyncGate;
use crate::store::Rows;
use crate::store::outgoing_payment::{self as table, Inserted};
use crate::telemetry;

/// Payments that one round sends; more wait for the next one.
const ROUND_ROWS: u32 = 64;

/// The outgoing payments of one node.
pub struct Payments {
    rows: Rows,
    node: Arc<dyn LightningNode>,
    network: Network,
    gate: Arc<SyncGate>,
    signal: Signal,
    payouts: Arc<Payouts>,
    wake: Notify,
}

impl Payments {
    /// Payments over a store and a node.
    pub fn new(
        rows: Rows,
        node: Arc<dyn LightningNode>,
        network: Network,
        gate: Arc<SyncGate>,
        signal: Signal,
        payouts: Arc<Payouts>,
    ) -> Self {
        Self { rows, node, network, gate, signal, payouts, wake: Notify::new() }
    }

    /// Makes the intent to pay durable and wakes the sender. A repeat answers with what is stored, also when that
    /// has FAILED: one invoice is paid by one row, once, for ever.
    pub async fn pay(&self, bolt11: &str, max_amount: AmountMsat) -> Result<OutgoingPayment, ServiceError> {
        let payable = parse_invoice(bolt11, self.network)?;
        if let Some(stored) = table::find(&self.rows, payable.payment_hash).await? {
            return same_text(stored, bolt11);
        }
        let now = clock::now_ms();
        payable.check(now.to_s(), max_amount, &self.node.node_id())?;
        self.gate.check(&self.node.status(), now.to_s())?;
        self.payouts.check(payable.amount, &payable.invoice.get_payee_pub_key()).await?;
        let limits = self.payouts.limits();
        let intent = OutgoingPayment {
            payment_hash: payable.payment_hash,
            bolt11: bolt11.to_owned(),
            amount: payable.amount,
            fee_limit: fee_limit(payable.amount, limits.max_fee_base, limits.max_fee_ppm),
            fee: AmountMsat::ZERO,
            state: PaymentState::Pending,
            failure_reason: String::new(),
            preimage: None,
            attempts: 0,
        };
        let window_start = PayoutLimits::window_start(now);
        match table::insert(&self.rows, &intent, window_start, limits.max_per_hour, now).await? {
            Inserted::New => {
                self.wake.notify_one();
                Ok(intent)
            }
            Inserted::Existing(stored) => same_text(*stored, bolt11),
            Inserted::VelocityExceeded => Err(ServiceError::VelocityExceeded),
            Inserted::OwnInvoice => Err(InvoiceRefused::Own.into()),
        }
    }

    /// Looks a payment up.
    pub async fn find(&self, hash: PaymentHash) -> Result<OutgoingPayment, ServiceError> {
        table::find(&self.rows, hash).await?.ok_or(ServiceError::PaymentNotFound)
    }

    /// Waits until a new intent is there.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Sends what is PENDING. A payment of an earlier process may have been sent or not: it is sent again under
    /// the same hash, which the node refuses if it has it.
    pub async fn send_pending(&self) -> Result<(), ServiceError> {
        if self.gate.check(&self.node.status(), clock::now_s()).is_err() {
            return Ok(());
        }
        let pending = table::find_pending(&self.rows, ROUND_ROWS).await?;
        telemetry::unresolved_payments(pending.iter().filter(|payment| payment.attempts > 0).count());
        let mut none_may_leave = false;
        for payment in pending {
            let moved = match payment.attempts {
                // The others would each wait as long as the first.
                0 if none_may_leave => continue,
                0 => self.send(&payment).await,
                _ => self.resolve(&payment).await,
            };
            match moved {
                // It stays PENDING, until the log is back and the books agree, or the invoice has expired.
                Err(
                    error @ (ServiceError::NotLogged(_)
                    | ServiceError::FundsDiffer(_)
                    | ServiceError::NeverQuiet),
                ) => {
                    tracing::warn!(payment_hash = %payment.payment_hash, %error, "payment waits");
                    none_may_leave = true;
                }
                moved => moved?,
            }
        }
        Ok(())
    }

    /// Finds out what became of a payment whose call was cut off.
    async fn resolve(&self, payment: &OutgoingPayment) -> Result<(), ServiceError> {
        let hash = payment.payment_hash;
        let record = match self.node.record(hash).await {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(payment_hash = %hash, %error, "the node's record is not known");
                return Ok(());
            }
        };
        match record {
            // The node has it: its event ends it.
            Some(NodeRecord::InFlight | NodeRecord::Succeeded) => {
                table::mark_in_flight(&self.rows, hash, clock::now_ms()).await?;
                Ok(())
            }
            // The only attempt was refused before it left, and the process died before it could say so.
            Some(NodeRecord::Failed) if payment.attempts == 1 => self.fail(payment, "no_route").await,
            // Not listed proves nothing, and a failed *second* attempt says nothing about the first.
            Some(NodeRecord::Failed) | None => self.send(payment).await,
        }
    }

    async fn send(&self, payment: &OutgoingPayment) -> Result<(), ServiceError> {
        let hash = payment.payment_hash;
        let payable = parse_invoice(&payment.bolt11, self.network)?;
        // The node would refuse it for its age before it looked whether it has it: no news either way.
        if payment.attempts > 0 && payable.is_expired(clock::now_s()) {
            return Ok(());
        }
        let payout = Payout::Payment {
            payment_hash: hash,
            payee: &payable.invoice.get_payee_pub_key(),
            amount: payment.amount,
            fee_limit: payment.fee_limit,
        };
        self.payouts.record(&payout).await?;
        if !table::count_attempt(&self.rows, hash, clock::now_ms()).await? {
            return Ok(());
        }
        match self.node.send(&payable.invoice, payment.fee_limit).await {
            Ok(()) | Err(SendError::Duplicate) => {
                table::mark_in_flight(&self.rows, hash, clock::now_ms()).await?;
            }
            Err(SendError::NotSent(reason)) if payment.attempts == 0 => self.fail(payment, &reason).await?,
            Err(error @ (SendError::NotSent(_) | SendError::Unknown(_))) => {
                tracing::warn!(payment_hash = %hash, %error, "payment unresolved, waiting for the node's event");
            }
        }
        Ok(())
    }

    async fn fail(&self, payment: &OutgoingPayment, reason: &str) -> Result<(), ServiceError> {
        let failed = OutgoingPayment {
            state: PaymentState::Failed,
            failure_reason: reason.to_owned(),
            ..payment.clone()
        };
        self.end(&failed).await.map(drop)
    }

    /// The node reports that the recipient took the money. `Ok` means that what it says is durable here.
    pub async fn on_sent(
        &self,
        hash: PaymentHash,
        preimage: [u8; 32],
        fee: AmountMsat,
    ) -> Result<(), ServiceError> {
        if PaymentHash(Digest::sha256(&preimage)) != hash {
            tracing::error!(payment_hash = %hash, "the proof of payment does not match its hash");
        }
        let Some(payment) = table::find(&self.rows, hash).await? else {
            return self.unexpected(hash, preimage, fee, "no payment has this hash").await;
        };
        let succeeded =
            OutgoingPayment { state: PaymentState::Succeeded, fee, preimage: Some(preimage), ..payment };
        if self.end(&succeeded).await? {
            return Ok(());
        }
        // Ended before: by this same event, unless the row says that no money moved. That word was given and stays, so
        // the truth is kept beside it.
        match self.find(hash).await?.state {
            PaymentState::Failed => self.unexpected(hash, preimage, fee, "the payment had FAILED").await,
            PaymentState::Succeeded | PaymentState::Pending | PaymentState::InFlight => Ok(()),
        }
    }

    async fn unexpected(
        &self,
        hash: PaymentHash,
        preimage: [u8; 32],
        fee: AmountMsat,
        note: &str,
    ) -> Result<(), ServiceError> {
        tracing::error!(payment_hash = %hash, fee_msat = fee.msat(), note, "unexpected payment has left the node");
        telemetry::contradiction("unexpected_payment");
        let amount = self.node.amount_sent(hash).await?;
        table::record_unexpected(&self.rows, hash, &preimage, amount, fee, note, clock::now_ms()).await?;
        Ok(())
    }

    /// The node reports that it gave up. `Ok` means that what it says is durable here.
    pub async fn on_failed(&self, hash: PaymentHash, reason: &str) -> Result<(), ServiceError> {
        match table::find(&self.rows, hash).await? {
            Some(payment) => self.fail(&payment, reason).await,
            None => {
                tracing::warn!(payment_hash = %hash, reason, "a payment of no row has failed");
                Ok(())
            }
        }
    }

    /// False if it had ended before.
    async fn end(&self, ended: &OutgoingPayment) -> Result<bool, ServiceError> {
        let moved = table::end(&self.rows, ended, clock::now_ms()).await?;
        if moved {
            let OutgoingPayment { payment_hash, state, failure_reason, .. } = ended;
            tracing::info!(%payment_hash, state = state.as_str(), failure_reason, "outgoing payment ended");
            telemetry::payment_ended(*state);
            self.signal.notify();
        }
        Ok(moved)
    }
}

/// Two texts may share a hash; only the one that was accepted is this payment.
fn same_text(stored: OutgoingPayment, bolt11: &str) -> Result<OutgoingPayment, ServiceError> {
    if stored.bolt11.eq_ignore_ascii_case(bolt11) { Ok(stored) } else { Err(ServiceError::IdReused) }
}
