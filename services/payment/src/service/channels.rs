//! Channels: opened once an order, and told of once.

use std::sync::Arc;

use ailayer_platform::clock;
use ailayer_primitives::{AmountMsat, RequestId};
use ailayer_store::event_log::Signal;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::domain::channel::{Channel, ChannelOrder, UserChannelId};
use crate::domain::payout::{Payout, PayoutLimits};
use crate::error::ServiceError;
use crate::ports::{LightningNode, NodeError};
use crate::service::payouts::Payouts;
use crate::store::Rows;
use crate::store::channel::{self as table, Inserted, StoredOrder};

/// The channels of one node.
pub struct Channels {
    rows: Rows,
    node: Arc<dyn LightningNode>,
    signal: Signal,
    payouts: Arc<Payouts>,
    /// One order at a time, so that a channel without an order belongs to the order being resumed. What is in it was
    /// begun for a caller who has gone: the node goes on all the same, so the next caller sees it to its end first.
    opening: Mutex<Option<Opening>>,
}

/// An order under way: the node opens a channel, and the order learns which.
type Opening = BoxFuture<'static, Result<UserChannelId, ServiceError>>;

impl Channels {
    /// Channels over a store and a node.
    pub fn new(rows: Rows, node: Arc<dyn LightningNode>, signal: Signal, payouts: Arc<Payouts>) -> Self {
        Self { rows, node, signal, payouts, opening: Mutex::default() }
    }

    /// Opens a channel, or answers with the one the request id opened before.
    ///
    /// The node names a channel only once it has begun. A crash in between leaves an order without a channel; its
    /// repeat takes over a channel of ours that fits and that no order owns, so that nothing is funded, or given away,
    /// twice. A channel that was not funded yet does not survive the crash, and is opened anew.
    ///
    /// What is given to the peer at once is a payout: cap, limit an hour, payees and kill switch hold for it.
    pub async fn open(&self, id: RequestId, order: &ChannelOrder) -> Result<UserChannelId, ServiceError> {
        let mut opening = self.opening.lock().await;
        if let Some(Err(error)) = see_to_its_end(&mut opening).await {
            tracing::warn!(%error, "a channel whose caller had gone was not opened");
        }
        let stored = self.stored(id, order).await?;
        if stored.order != *order {
            return Err(ServiceError::IdReused);
        }
        if let Some(channel) = stored.user_channel_id {
            return Ok(channel);
        }
        if !stored.new
            && let Some(orphan) = self.find_orphan(order).await?
        {
            table::set_channel(&self.rows, id, orphan).await?;
            return Ok(orphan);
        }
        self.let_out(id, order, stored.new).await?;
        *opening = Some(begin(self.rows.clone(), Arc::clone(&self.node), id, order.clone()).boxed());
        see_to_its_end(&mut opening).await.unwrap_or(Err(ServiceError::Contended))
    }

    /// The order, as it is in the rows. A repeat is answered by what it has become, whatever the limits say by now.
    async fn stored(&self, id: RequestId, order: &ChannelOrder) -> Result<StoredOrder, ServiceError> {
        match table::find_order(&self.rows, id).await? {
            Some(stored) => Ok(stored),
            None => self.insert(id, order).await,
        }
    }

    async fn insert(&self, id: RequestId, order: &ChannelOrder) -> Result<StoredOrder, ServiceError> {
        if order.push > AmountMsat::ZERO {
            self.payouts.check(order.push, &order.peer_node_id).await?;
        }
        let (now, limit) = (clock::now_ms(), self.payouts.limits().max_per_hour);
        let window_start = PayoutLimits::window_start(now);
        match table::get_or_insert_order(&self.rows, id, order, window_start, limit, now).await? {
            Inserted::Stored(stored) => Ok(stored),
            Inserted::VelocityExceeded => Err(ServiceError::VelocityExceeded),
        }
    }

    /// Holds what is about to be given away against the limits, and has it logged. An order that comes to nothing is forgotten, so
    /// that it takes nothing from the hour; one that an earlier call could not begin counts in the hour in which it leaves.
    async fn let_out(&self, id: RequestId, order: &ChannelOrder, is_new: bool) -> Result<(), ServiceError> {
        let Some(push) = pushed(id, order) else { return Ok(()) };
        if !is_new {
            table::forget_order(&self.rows, id).await?;
            self.insert(id, order).await?;
        }
        let recorded = self.payouts.record(&push).await;
        if recorded.is_err() {
            table::forget_order(&self.rows, id).await?;
        }
        recorded
    }

    async fn find_orphan(&self, order: &ChannelOrder) -> Result<Option<UserChannelId>, ServiceError> {
        for channel in self.node.channels().await? {
            // A channel that the peer opened was never ours to order, however well it fits.
            let fits = channel.outbound
                && channel.peer_node_id == order.peer_node_id
                && channel.amount == order.amount
                && channel.announced == order.announce;
            if fits && !table::is_ordered(&self.rows, channel.user_channel_id).await? {
                return Ok(Some(channel.user_channel_id));
            }
        }
        Ok(None)
    }

    /// All channels that are not closed.
    pub async fn list(&self) -> Result<Vec<Channel>, ServiceError> {
        Ok(self.node.channels().await?)
    }

    /// The node reports a usable channel. `Ok` means that what it says is durable here.
    pub async fn on_ready(&self, id: UserChannelId) -> Result<(), ServiceError> {
        let channels = self.node.channels().await?;
        // Closed again already: its close has an event of its own, and there is nothing to describe.
        let Some(channel) = channels.into_iter().find(|channel| channel.user_channel_id == id) else {
            return Ok(());
        };
        if table::record_ready(&self.rows, &channel, clock::now_ms()).await? {
            tracing::info!(user_channel_id = %id.0, peer = %channel.peer_node_id, "channel ready");
            self.signal.notify();
        }
        Ok(())
    }

    /// The node reports a closed channel. `Ok` means that what it says is durable here.
    pub async fn on_closed(&self, id: UserChannelId, reason: &str) -> Result<(), ServiceError> {
        tracing::warn!(user_channel_id = %id.0, reason, "channel closed");
        if table::record_closed(&self.rows, id, reason, clock::now_ms()).await?.is_some() {
            self.signal.notify();
        }
        Ok(())
    }
}

/// What an order gives to the peer at once, if it does.
fn pushed(request_id: RequestId, order: &ChannelOrder) -> Option<Payout<'_>> {
    let push = Payout::ChannelPush { request_id, peer: &order.peer_node_id, amount: order.push };
    (order.push > AmountMsat::ZERO).then_some(push)
}

async fn begin(
    rows: Rows,
    node: Arc<dyn LightningNode>,
    id: RequestId,
    order: ChannelOrder,
) -> Result<UserChannelId, ServiceError> {
    match node.open_channel(&order).await {
        Ok(channel) => {
            table::set_channel(&rows, id, channel).await?;
            Ok(channel)
        }
        Err(error) => {
            // Begun or not is certain only for these: then the same request may be tried again.
            if !matches!(error, NodeError::Failed(_)) {
                table::forget_order(&rows, id).await?;
            }
            Err(error.into())
        }
    }
}

/// Waits for an order under way, if there is one. Dropped half way, it leaves the rest to the next caller.
async fn see_to_its_end(opening: &mut Option<Opening>) -> Option<Result<UserChannelId, ServiceError>> {
    let outcome = opening.as_mut()?.await;
    *opening = None;
    Some(outcome)
}

#[cfg(test)]
mod tests;
