//! Making a hold invoice: INTENT, the node's text, OPEN, and only then is it shown.

use std::sync::Arc;

use ailayer_platform::{clock, crash};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::Holds;
use crate::domain::hold_invoice::{HoldInvoice, HoldState, Input, NodeCall, Refused, Terms, decide};
use crate::domain::invoice_id::InvoiceId;
use crate::error::ServiceError;
use crate::ports::{IssuedInvoice, NodeError};
use crate::store::hold_invoice::{self as table, Inserted};
use crate::telemetry;

/// Locks that make one create at a time for an id; many ids share one.
const CREATE_LOCKS: usize = 64;

/// The node making an invoice's text. Left behind when its caller goes away, it is seen to its end by the next.
type Making = BoxFuture<'static, Result<IssuedInvoice, NodeError>>;

/// One create at a time for an id.
pub(super) struct InvoicesBeingMade([Mutex<Option<Making>>; CREATE_LOCKS]);

impl InvoicesBeingMade {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder of the array's length")]
    fn lock(&self, id: InvoiceId) -> &Mutex<Option<Making>> {
        let [.., last] = *id.uuid().as_bytes();
        &self.0[usize::from(last) % CREATE_LOCKS]
    }
}

impl Holds {
    /// Creates a hold invoice, or answers with the stored one. On `Ok` the invoice is durable and its text final.
    pub async fn create(&self, id: InvoiceId, terms: Terms) -> Result<HoldInvoice, ServiceError> {
        // `receive_for_hash` resets the node's record, so it is never called twice at once, nor after OPEN.
        // A caller who goes away does not stop the node, so what it left behind ends first.
        let mut making = self.making.lock(id).lock().await;
        see_to_its_end(&mut making).await;
        let invoice = match table::find(&self.rows, id).await? {
            Some(stored) => stored,
            None => self.insert_intent(id, terms).await?,
        };
        match invoice.terms {
            // A tombstone: the release came first.
            None => return Err(Refused::InvalidState(invoice.state).into()),
            Some(stored) if stored != terms => return Err(ServiceError::IdReused),
            Some(_) => {}
        }
        match decide(&invoice, &Input::Create, self.margins)?.call {
            Some(NodeCall::MakeInvoice) => self.open(invoice, terms, &mut making).await,
            _ => Ok(invoice),
        }
    }

    async fn insert_intent(&self, id: InvoiceId, terms: Terms) -> Result<HoldInvoice, ServiceError> {
        if !self.limits.holds_enabled {
            return Err(ServiceError::SwitchedOff("new hold invoices"));
        }
        self.gate.check(&self.node.status(), clock::now_s())?;
        let hash = self.secret.preimage(id).payment_hash();
        let intent = HoldInvoice::intent(id, hash, terms, clock::now_s());
        let (open, accepted) = (self.limits.max_open, self.limits.max_accepted);
        match table::insert_intent(&self.rows, &intent, open, accepted, clock::now_ms()).await? {
            Inserted::New => {
                crash::point("payment.p2.intent");
                telemetry::hold_moved(HoldState::Intent);
                Ok(intent)
            }
            Inserted::Existing(stored) => Ok(*stored),
            Inserted::LimitReached => Err(ServiceError::TooManyOpen),
        }
    }

    async fn open(
        &self,
        intent: HoldInvoice,
        terms: Terms,
        making: &mut Option<Making>,
    ) -> Result<HoldInvoice, ServiceError> {
        self.gate.check(&self.node.status(), clock::now_s())?;
        let (node, hash) = (Arc::clone(&self.node), intent.payment_hash);
        let Terms { amount, description_hash, expiry_s } = terms;
        let make = async move { node.receive_for_hash(hash, amount, description_hash, expiry_s).await };
        *making = Some(make.boxed());
        let issued = see_to_its_end(making).await.unwrap_or(Err(NodeError::NotRunning))?;
        let transition = decide(&intent, &Input::Opened, self.margins)?;
        let now = clock::now_ms();
        let mut open = intent.after(&transition, None, now);
        open.bolt11 = issued.bolt11;
        open.expiry = issued.expiry;
        if table::advance(&self.rows, &intent, &transition, &open, None, now).await? {
            self.moved(&open);
            return Ok(open);
        }
        // Released while the node made the text, which is given to nobody.
        let stored = self.find(intent.invoice_id).await?;
        decide(&stored, &Input::Create, self.margins)?;
        Ok(stored)
    }
}

async fn see_to_its_end(making: &mut Option<Making>) -> Option<Result<IssuedInvoice, NodeError>> {
    let made = making.as_mut()?.await;
    *making = None;
    Some(made)
}
