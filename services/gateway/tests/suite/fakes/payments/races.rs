//! What happens at the Lightning node by itself, if the invoice still allows it at that moment. Others change the same
//! invoices meanwhile, so that each of these looks, changes and tells in one step.

use super::{
    AmountMsat, DEADLINE, EventKind, FakePayments, HoldInvoice, JobId, State, UnexpectedReceipt, now_ms,
};

impl FakePayments {
    /// Every invoice there is.
    pub fn invoices(&self) -> Vec<HoldInvoice> {
        self.lock().invoices.values().cloned().collect()
    }

    /// The invoices in this state, in the order of their ids.
    pub fn in_state(&self, state: State) -> Vec<JobId> {
        let inner = self.lock();
        let found = inner.invoices.values().filter(|invoice| invoice.state == state);
        let mut ids: Vec<JobId> = found.map(|invoice| JobId::new(invoice.invoice_id)).collect();
        ids.sort();
        ids
    }

    /// The payer pays this much, if the invoice is open.
    pub fn is_paid(&self, id: JobId, msat: u64) -> bool {
        self.moves(id, &[State::Open], EventKind::HoldInvoiceAccepted, |invoice| {
            invoice.state = State::Accepted;
            invoice.accepted_amount = AmountMsat::try_new(msat).unwrap();
            invoice.claim_deadline_height = DEADLINE;
            invoice.accepted_at = now_ms();
        })
    }

    /// Word of money that was locked before the invoice was given back or ran out comes late: it has gone back by now.
    pub fn tells_late(&self, id: JobId) -> bool {
        let mut inner = self.lock();
        let over = |invoice: &&HoldInvoice| matches!(invoice.state, State::Released | State::Expired);
        let Some(over) = inner.invoices.get(&id.uuid()).filter(over) else { return false };
        let accepted = HoldInvoice {
            state: State::Accepted,
            accepted_amount: over.amount,
            claim_deadline_height: DEADLINE,
            accepted_at: now_ms(),
            ..over.clone()
        };
        self.log(&mut inner, EventKind::HoldInvoiceAccepted(accepted));
        true
    }

    /// The deadline guard gives money back that nobody has asked to take.
    pub fn is_guarded(&self, id: JobId) -> bool {
        let to = |invoice: &mut HoldInvoice| invoice.state = State::Released;
        self.moves(id, &[State::Accepted], EventKind::HoldInvoiceReleased, to)
    }

    /// Nobody has paid in time.
    pub fn runs_out(&self, id: JobId) -> bool {
        let to = |invoice: &mut HoldInvoice| invoice.state = State::Expired;
        self.moves(id, &[State::Open], EventKind::HoldInvoiceExpired, to)
    }

    /// Tells of some earlier event once more.
    pub fn tells_again(&self, which: u64) {
        let mut inner = self.lock();
        let Some(place) = which.checked_rem(inner.events.len() as u64) else { return };
        let kind = inner.events[usize::try_from(place).unwrap()].kind.clone();
        // What is in no row is booked by the event's own id: a second one is other money.
        if !matches!(kind, EventKind::ReceiptUnexpected(UnexpectedReceipt { .. })) {
            self.log(&mut inner, kind);
        }
    }

    /// The row says something else from now on, and nobody is told.
    pub fn force(&self, id: JobId, state: State) {
        self.lock().invoices.get_mut(&id.uuid()).unwrap().state = state;
    }

    fn moves(
        &self,
        id: JobId,
        from: &[State],
        event: fn(HoldInvoice) -> EventKind,
        change: impl FnOnce(&mut HoldInvoice),
    ) -> bool {
        let mut inner = self.lock();
        let found = inner.invoices.get_mut(&id.uuid());
        let Some(invoice) = found.filter(|invoice| from.contains(&invoice.state)) else { return false };
        change(invoice);
        let invoice = invoice.clone();
        self.log(&mut inner, event(invoice));
        true
    }
}
