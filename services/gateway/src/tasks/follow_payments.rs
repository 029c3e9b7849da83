//! Takes in the payment service's events: each changes its job once, in the transaction that notes it in the inbox.

use std::sync::Arc;
use std::time::Duration;

use ailayer_client::CallError;
use ailayer_client::payment::{EventKind, HoldInvoice, PaymentEvent, UnexpectedReceipt};
use ailayer_platform::health::Component;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::JobId;
use ailayer_store::{StoreError, Tx, inbox};
use futures::StreamExt as _;
use thiserror::Error;

use crate::crash_points;
use crate::deposits::{BookError, Booked, Deposits};
use crate::domain::deposit::DepositEvent;
use crate::domain::job::{Effect, Hold, Input, Refused};
use crate::domain::release::ReleaseReason;
use crate::jobs::{ChangeError, Changed, Jobs};
use crate::ports::Payments;
use crate::signals::Signals;
use crate::store::ledger;
use crate::store::transitions::Facts;
use crate::telemetry;

/// The source's name in the inbox.
pub const SOURCE: &str = "payment";
/// How long to wait before reconnecting, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Why following was interrupted. It resumes from the inbox's cursor.
#[derive(Debug, Error)]
enum Interrupted {
    #[error("payment: {0}")]
    Call(#[from] CallError),
    #[error("the event stream ended")]
    Ended,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Follows the payment service's event log.
pub struct FollowPayments {
    /// Changes jobs.
    pub jobs: Jobs,
    /// Books deposits.
    pub deposits: Deposits,
    /// Where events come from.
    pub payments: Arc<dyn Payments>,
    /// Wakes the drivers.
    pub signals: Signals,
    /// Ready while the stream is connected.
    pub component: Component,
}

impl FollowPayments {
    /// Follows until shutdown, reconnecting with growing patience.
    pub async fn run(self, shutdown: Shutdown) {
        let mut wait = FIRST_WAIT;
        loop {
            let mut progressed = false;
            let interrupted = tokio::select! {
                () = shutdown.cancelled() => return,
                Err(interrupted) = self.follow(&mut progressed) => interrupted,
            };
            self.component.set_unready(interrupted.to_string());
            tracing::warn!(error = %interrupted, "payment events interrupted");
            wait = if progressed { FIRST_WAIT } else { (wait * 2).min(MAX_WAIT) };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn follow(&self, progressed: &mut bool) -> Result<std::convert::Infallible, Interrupted> {
        let cursor = inbox::cursor(self.jobs.store().pool(), SOURCE).await?;
        let mut events = self.payments.watch(cursor).await?;
        self.component.set_ready();
        tracing::info!(cursor, "following payment events");
        while let Some(event) = events.next().await {
            self.take_in(event?).await?;
            *progressed = true;
        }
        Err(Interrupted::Ended)
    }

    async fn take_in(&self, event: PaymentEvent) -> Result<(), Interrupted> {
        if let EventKind::ReceiptUnexpected(receipt) = &event.kind {
            return self.book_unexpected(&event, receipt).await;
        }
        let Some((name, invoice, input)) = input_of(&event.kind) else {
            // About something that is none of the gateway's business.
            return self.note(&event).await;
        };
        let job_id = JobId::new(invoice.invoice_id);
        let mut tx = ledger::begin(self.jobs.store()).await?;
        if !accept(&mut tx, &event).await? {
            return Ok(tx.commit().await.map_err(StoreError::from)?);
        }
        match self.change_in_tx(&mut tx, job_id, invoice, input).await {
            Ok(changed) if is_late_money(&changed) => {
                drop(tx);
                self.give_back(&changed, invoice).await?;
                self.note(&event).await
            }
            Ok(changed) => {
                tx.commit().await.map_err(StoreError::from)?;
                self.jobs.announce(&changed).await;
                self.signals.drive();
                Ok(())
            }
            Err(ChangeError::Unknown(_)) => self.book(tx, &event, name, invoice).await,
            Err(error @ (ChangeError::Refused(_) | ChangeError::Sale(_) | ChangeError::NotPosted(..))) => {
                // Noted and passed over: waiting here would stop every other job's events.
                drop(tx);
                telemetry::contradiction(job_id, name, &error);
                self.note(&event).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An event about an invoice that is no job's: a deposit's, or nobody's.
    async fn book(
        &self,
        mut tx: Tx,
        event: &PaymentEvent,
        name: &'static str,
        invoice: &HoldInvoice,
    ) -> Result<(), Interrupted> {
        let id = invoice.invoice_id;
        let booked = match deposit_event(&event.kind) {
            None => Ok(Booked::NotOurs),
            Some(event) => self.deposits.book_in_tx(&mut tx, id, event).await,
        };
        match booked {
            Ok(Booked::Done(state, credited)) => {
                tx.commit().await.map_err(StoreError::from)?;
                if let Some(state) = state {
                    telemetry::deposit_moved(id, state, credited);
                }
                if matches!(event.kind, EventKind::HoldInvoiceClaimed(_)) {
                    self.deposits.crash_points.pass(crash_points::DEPOSIT_CREDITED).await;
                }
                self.signals.claim();
                Ok(())
            }
            Ok(Booked::GiveBack) => {
                drop(tx);
                telemetry::late_money(JobId::new(id), invoice.accepted_amount);
                self.released(JobId::new(id), ReleaseReason::QuoteExpired).await?;
                self.note(event).await
            }
            Ok(Booked::NotOurs) => {
                tracing::debug!(invoice_id = %id, event = name, "event about an invoice that is none of ours");
                Ok(tx.commit().await.map_err(StoreError::from)?)
            }
            Err(BookError::Store(error)) => Err(error.into()),
            Err(error) => {
                drop(tx);
                telemetry::contradiction(JobId::new(id), name, &error);
                self.note(event).await
            }
        }
    }

    /// Money for no invoice at all.
    async fn book_unexpected(
        &self,
        event: &PaymentEvent,
        receipt: &UnexpectedReceipt,
    ) -> Result<(), Interrupted> {
        let mut tx = ledger::begin(self.jobs.store()).await?;
        if !accept(&mut tx, event).await? {
            return Ok(tx.commit().await.map_err(StoreError::from)?);
        }
        match self.deposits.book_unexpected_in_tx(&mut tx, event.event_id, receipt).await {
            Ok(()) => Ok(tx.commit().await.map_err(StoreError::from)?),
            Err(BookError::Store(error)) => Err(error.into()),
            Err(error) => {
                drop(tx);
                telemetry::contradiction(JobId::new(event.event_id), "receipt_unexpected", &error);
                self.note(event).await
            }
        }
    }

    /// Has late money given back before its event is noted, so that no crash can come between.
    async fn give_back(&self, changed: &Changed, invoice: &HoldInvoice) -> Result<(), CallError> {
        let job_id = changed.record.job_id;
        telemetry::late_money(job_id, invoice.accepted_amount);
        let reason = changed.record.job.release_reason.unwrap_or(ReleaseReason::QuoteExpired);
        self.released(job_id, reason).await
    }

    async fn released(&self, job_id: JobId, reason: ReleaseReason) -> Result<(), CallError> {
        match self.payments.release(job_id, reason).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_transient() => Err(error),
            Err(error) => {
                telemetry::contradiction(job_id, "release_refused", &error);
                Ok(())
            }
        }
    }

    async fn change_in_tx(
        &self,
        tx: &mut Tx,
        job_id: JobId,
        invoice: &HoldInvoice,
        input: Input,
    ) -> Result<Changed, ChangeError> {
        let changed = self.jobs.apply_in_tx(tx, job_id, input, None, Facts::default()).await?;
        let ours = changed.record.invoice.as_ref().map(|invoice| invoice.payment_hash);
        // Before row 2 the invoice is not stored here, and nobody can have paid it.
        if ours.is_some() && invoice.payment_hash.is_some() && ours != invoice.payment_hash {
            let state = changed.transition.from;
            return Err(ChangeError::Refused(Refused::Contradiction(state)));
        }
        Ok(changed)
    }

    /// Notes an event without acting on it.
    async fn note(&self, event: &PaymentEvent) -> Result<(), Interrupted> {
        let mut tx = ledger::begin(self.jobs.store()).await?;
        accept(&mut tx, event).await?;
        Ok(tx.commit().await.map_err(StoreError::from)?)
    }
}

async fn accept(tx: &mut Tx, event: &PaymentEvent) -> Result<bool, StoreError> {
    inbox::accept_in_tx(tx, SOURCE, event.event_id, event.cursor).await
}

/// Money for a job that has ended: nothing moves, and it must go back.
fn is_late_money(changed: &Changed) -> bool {
    let gives_back = |effect: &Effect| matches!(effect, Effect::ReleaseInvoice { .. });
    !changed.transition.is_change() && changed.transition.effects.iter().any(gives_back)
}

fn input_of(kind: &EventKind) -> Option<(&'static str, &HoldInvoice, Input)> {
    Some(match kind {
        EventKind::HoldInvoiceAccepted(invoice) => {
            let hold = Hold {
                amount: invoice.accepted_amount,
                claim_deadline_height: Some(invoice.claim_deadline_height),
                accepted_at: invoice.accepted_at,
            };
            ("hold_invoice_accepted", invoice, Input::HoldAccepted(hold))
        }
        EventKind::HoldInvoiceClaimed(invoice) => {
            let input = Input::HoldClaimed { amount: invoice.accepted_amount };
            ("hold_invoice_claimed", invoice, input)
        }
        EventKind::HoldInvoiceReleased(invoice) => ("hold_invoice_released", invoice, Input::HoldReleased),
        EventKind::HoldInvoiceLost(invoice) => ("hold_invoice_lost", invoice, Input::HoldLost),
        EventKind::HoldInvoiceExpired(invoice) => ("hold_invoice_expired", invoice, Input::HoldExpired),
        EventKind::PaymentEnded(_)
        | EventKind::ChannelReady(_)
        | EventKind::ChannelClosed(_)
        | EventKind::ReceiptUnexpected(_)
        | EventKind::Unknown => return None,
    })
}

fn deposit_event(kind: &EventKind) -> Option<DepositEvent> {
    Some(match kind {
        EventKind::HoldInvoiceAccepted(_) => DepositEvent::Accepted,
        EventKind::HoldInvoiceClaimed(invoice) => DepositEvent::Claimed { taken: invoice.accepted_amount },
        EventKind::HoldInvoiceReleased(_) | EventKind::HoldInvoiceLost(_) => DepositEvent::Returned,
        EventKind::HoldInvoiceExpired(_) => DepositEvent::Expired,
        EventKind::ReceiptUnexpected(_)
        | EventKind::PaymentEnded(_)
        | EventKind::ChannelReady(_)
        | EventKind::ChannelClosed(_)
        | EventKind::Unknown => return None,
    })
}
