//! Buyers: what they asked for, what they were shown, and what they can pay.

use std::collections::BTreeSet;

use ailayer_gateway::domain::ledger::CustomerId;
use ailayer_primitives::{AmountMsat, JobId, RequestId};
use uuid::Uuid;

/// What an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// An answer for a Lightning payment.
    Quote,
    /// An answer from this balance.
    Prepaid(CustomerId),
    /// So much more on this balance.
    Deposit(CustomerId, AmountMsat),
}

/// A request and everything that was answered to it.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub want: Want,
    pub request_id: RequestId,
    /// Stands for what is asked.
    pub body: u64,
    pub tokens: u64,
    /// The job or deposit, once an answer has named it.
    pub shown: Option<Uuid>,
    /// The body that was answered with it.
    pub shown_body: Option<u64>,
}

/// What a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The job or deposit. On the Lightning rails its invoice can be paid from now on.
    Shown(Uuid),
    /// The request id was used for something else.
    Reused,
    /// It has ended, or was refused.
    Ended,
    /// Nobody knows; the buyer may repeat it.
    Failed,
}

/// All buyers.
#[derive(Debug, Default)]
pub struct Buyers {
    pub accounts: Vec<CustomerId>,
    pub orders: Vec<Order>,
    /// The jobs whose ciphertext a buyer has acknowledged, or tried to.
    pub acknowledged: BTreeSet<JobId>,
    /// The first answer that contradicts another.
    pub contradiction: Option<String>,
}

impl Buyers {
    pub fn order(&self, at: usize) -> Option<Order> {
        self.orders.get(at).copied()
    }

    /// Holds an answer against the earlier ones: the same request has the same effect for ever.
    pub fn answered(&mut self, at: usize, body: u64, answer: Answer) {
        let Some(order) = self.orders.get_mut(at) else { return };
        let is_repeat = order.shown.is_some() && order.shown_body == Some(body);
        // ENDED is none: of two calls at once the later one may find the quote ended that the earlier one has shown.
        if is_repeat && answer == Answer::Reused && self.contradiction.is_none() {
            let what = format!("request {} was answered before, and now {answer:?}", order.request_id);
            self.contradiction = Some(what);
        }
        let Answer::Shown(id) = answer else { return };
        let same =
            order.shown.is_none_or(|shown| shown == id) && order.shown_body.is_none_or(|it| it == body);
        if !same && self.contradiction.is_none() {
            let before = (order.shown, order.shown_body);
            let what =
                format!("request {} was answered {before:?}, and now {id} for {body}", order.request_id);
            self.contradiction = Some(what);
        }
        order.shown = Some(id);
        order.shown_body = Some(body);
    }

    /// Orders that nothing was answered to: their buyers ask again.
    pub fn waiting(&self) -> Vec<usize> {
        let orders = self.orders.iter().enumerate();
        orders.filter(|(_, order)| order.shown.is_none()).map(|(at, _)| at).collect()
    }

    /// Orders whose invoice was shown.
    pub fn payable(&self) -> Vec<(Uuid, Want, u64)> {
        let shown = |order: &Order| match order.want {
            Want::Prepaid(_) => None,
            want => Some((order.shown?, want, order.tokens)),
        };
        self.orders.iter().filter_map(shown).collect()
    }
}
