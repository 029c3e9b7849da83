//! A Lightning node that does as it is told, or not: for faults that a real one does not show on demand.
//!
//! It plays both ends: [`FakeNode::pay`] is somebody paying one of its invoices, and [`FakeNode::outcome`] is what that
//! payer sees. It passes the same contract as the real node (see `contract`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ailayer_payment::domain::channel::{Channel, ChannelOrder, UserChannelId};
use ailayer_payment::domain::funds::NodeFunds;
use ailayer_payment::ports::{
    IssuedInvoice, LightningNode, NodeBalances, NodeError, NodeEvent, NodeRecord, NodeStatus, SendError, Tip,
};
use ailayer_platform::clock;
use ailayer_primitives::{AmountMsat, AmountSat, Digest, PaymentHash, Preimage, UnixS};
use async_trait::async_trait;
use bitcoin::BlockHash;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, PaymentSecret};
use tokio::sync::Notify;

/// Blocks between the tip and the claim deadline of a payment that arrives.
pub const DEADLINE_BLOCKS: u32 = 100;

/// What the payer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The proof of payment.
    Succeeded([u8; 32]),
    /// The money is back.
    Failed,
}

/// How the node misbehaves.
#[derive(Debug, Default, Clone, Copy)]
pub struct Faults {
    /// Claims fail with an error.
    pub claim_fails: bool,
    /// Claims answer "ok" and nothing happens.
    pub claim_is_lost: bool,
    /// Fail-backs fail with an error.
    pub fail_back_fails: bool,
    /// Calls about this payment do not return.
    pub hangs_about: Option<PaymentHash>,
    /// Sends fail, and nobody knows whether they were sent.
    pub send_unknown: bool,
    /// Sends find no route.
    pub no_route: bool,
    /// Making an invoice takes a while.
    pub slow_to_make: bool,
    /// Not synced since the start.
    pub unsynced: bool,
    /// Opening a channel fails before it begins, and nobody knows.
    pub open_fails: bool,
    /// Opening a channel begins, and then the call fails.
    pub open_cut_off: bool,
}

#[derive(Default)]
struct State {
    faults: Faults,
    height: u32,
    registered: HashMap<PaymentHash, (AmountMsat, NodeRecord)>,
    /// What is locked, and the height at which it goes back by itself.
    held: HashMap<PaymentHash, (AmountMsat, u32)>,
    outcomes: HashMap<PaymentHash, Outcome>,
    outgoing: HashMap<PaymentHash, NodeRecord>,
    sends: u32,
    asked: u32,
    made: u32,
    channels: Vec<Channel>,
    funds: NodeFunds,
    amount_sent: Option<AmountMsat>,
    events: VecDeque<NodeEvent>,
}

pub struct FakeNode {
    state: Mutex<State>,
    arrived: Notify,
    key: SecretKey,
}

impl FakeNode {
    pub fn new() -> Self {
        let state = State { height: 500, ..State::default() };
        Self {
            state: Mutex::new(state),
            arrived: Notify::new(),
            key: SecretKey::from_slice(&[11; 32]).unwrap(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
    }

    /// What the node says about its channels from now on.
    pub fn hold(&self, funds: NodeFunds) {
        self.state().funds = funds;
    }

    /// What the node's list says that recipients got.
    pub fn say_sent(&self, amount: Option<AmountMsat>) {
        self.state().amount_sent = amount;
    }

    pub fn emit(&self, event: NodeEvent) {
        self.state().events.push_back(event);
        self.arrived.notify_waiters();
    }

    /// Somebody pays one of the node's invoices.
    pub fn pay(&self, bolt11: &str) {
        let invoice: Bolt11Invoice = bolt11.parse().unwrap();
        self.pay_amount(bolt11, invoice.amount_milli_satoshis().unwrap());
    }

    /// The same with another amount.
    pub fn pay_amount(&self, bolt11: &str, msat: u64) {
        let invoice: Bolt11Invoice = bolt11.parse().unwrap();
        let hash = PaymentHash(Digest::new(*invoice.payment_hash().as_ref()));
        let deadline = self.state().height + DEADLINE_BLOCKS;
        self.arrive(hash, AmountMsat::try_new(msat).unwrap(), Some(deadline));
    }

    /// Money arrives for a payment hash.
    pub fn arrive(&self, hash: PaymentHash, amount: AmountMsat, deadline: Option<u32>) {
        {
            let mut state = self.state();
            state.held.insert(hash, (amount, deadline.unwrap_or(u32::MAX)));
            state.outcomes.remove(&hash);
        }
        self.emit(NodeEvent::PaymentClaimable {
            payment_id: *hash.0.as_bytes(),
            payment_hash: hash,
            amount,
            claim_deadline_height: deadline,
        });
    }

    pub fn outcome(&self, hash: PaymentHash) -> Option<Outcome> {
        self.state().outcomes.get(&hash).copied()
    }

    /// Blocks come; what reaches its deadline goes back without an event.
    pub fn mine(&self, blocks: u32) {
        let mut state = self.state();
        state.height += blocks;
        let height = state.height;
        let held = state.held.iter();
        let due: Vec<PaymentHash> =
            held.filter(|(_, (_, deadline))| *deadline <= height).map(|(hash, _)| *hash).collect();
        for hash in due {
            state.held.remove(&hash);
            state.outcomes.insert(hash, Outcome::Failed);
        }
    }

    /// How often the node was told to send.
    pub fn sends(&self) -> u32 {
        self.state().sends
    }

    /// Waits until the node has been asked for an invoice.
    pub async fn until_asked(&self) {
        while self.state().asked == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many invoices the node has made.
    pub fn made(&self) -> u32 {
        self.state().made
    }

    /// What the node's list says of an outgoing payment; `None` removes it.
    pub fn list_outgoing(&self, hash: PaymentHash, record: Option<NodeRecord>) {
        match record {
            Some(record) => self.state().outgoing.insert(hash, record),
            None => self.state().outgoing.remove(&hash),
        };
    }

    async fn maybe_hang(&self, hash: PaymentHash) {
        if self.state().faults.hangs_about == Some(hash) {
            std::future::pending::<()>().await;
        }
    }

    /// A channel as `order` describes it, opened by this node or by the peer.
    pub fn add_channel(&self, order: &ChannelOrder, outbound: bool) -> UserChannelId {
        let mut state = self.state();
        let id = UserChannelId(1 + state.channels.len() as u128);
        state.channels.push(Channel {
            user_channel_id: id,
            peer_node_id: order.peer_node_id,
            outbound,
            funding: None,
            amount: order.amount,
            outbound_capacity: AmountMsat::ZERO,
            inbound_capacity: AmountMsat::ZERO,
            ready: false,
            usable: false,
            announced: order.announce,
        });
        id
    }

    fn record_of(&self, hash: PaymentHash) -> Option<NodeRecord> {
        let state = self.state();
        state.registered.get(&hash).map(|(_, record)| *record).or_else(|| state.outgoing.get(&hash).copied())
    }
}

#[async_trait]
impl LightningNode for FakeNode {
    fn node_id(&self) -> PublicKey {
        PublicKey::from_secret_key(&Secp256k1::new(), &self.key)
    }

    fn listening_addresses(&self) -> Vec<String> {
        Vec::new()
    }

    fn status(&self) -> NodeStatus {
        let state = self.state();
        let tip = Tip { block_hash: BlockHash::all_zeros(), height: state.height };
        let synced_at = (!state.faults.unsynced).then(clock::now_s);
        NodeStatus { running: true, tip, synced_at }
    }

    async fn balances(&self) -> Result<NodeBalances, NodeError> {
        Ok(NodeBalances::default())
    }

    async fn funds(&self) -> Result<NodeFunds, NodeError> {
        Ok(self.state().funds.clone())
    }

    async fn amount_sent(&self, _: PaymentHash) -> Result<Option<AmountMsat>, NodeError> {
        Ok(self.state().amount_sent)
    }

    async fn new_address(&self) -> Result<String, NodeError> {
        Err(NodeError::NotRunning)
    }

    async fn channels(&self) -> Result<Vec<Channel>, NodeError> {
        Ok(self.state().channels.clone())
    }

    async fn open_channel(&self, order: &ChannelOrder) -> Result<UserChannelId, NodeError> {
        if self.state().faults.open_fails {
            return Err(NodeError::Failed("nobody knows".into()));
        }
        let id = self.add_channel(order, true);
        let mut state = self.state();
        if state.faults.open_cut_off {
            return Err(NodeError::Failed("the call was cut off".into()));
        }
        if order.amount < AmountSat::try_new(1_000).unwrap() {
            state.channels.pop();
            return Err(NodeError::Refused("too small".to_owned()));
        }
        Ok(id)
    }

    async fn receive_for_hash(
        &self,
        payment_hash: PaymentHash,
        amount: AmountMsat,
        description_hash: Digest,
        expiry_s: u32,
    ) -> Result<IssuedInvoice, NodeError> {
        self.state().asked += 1;
        if self.state().faults.slow_to_make {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        {
            let mut state = self.state();
            state.made += 1;
            state.registered.insert(payment_hash, (amount, NodeRecord::InFlight));
        }
        let now = clock::now_s();
        let invoice = InvoiceBuilder::new(Currency::Regtest)
            .description_hash(sha256::Hash::from_byte_array(*description_hash.as_bytes()))
            .payment_hash(sha256::Hash::from_byte_array(*payment_hash.0.as_bytes()))
            .payment_secret(PaymentSecret([1; 32]))
            .duration_since_epoch(Duration::from_secs(now.0))
            .expiry_time(Duration::from_secs(u64::from(expiry_s)))
            .min_final_cltv_expiry_delta(144)
            .amount_milli_satoshis(amount.msat())
            .build_signed(|hash| Secp256k1::new().sign_ecdsa_recoverable(hash, &self.key))
            .unwrap();
        Ok(IssuedInvoice { bolt11: invoice.to_string(), expiry: UnixS(now.0 + u64::from(expiry_s)) })
    }

    async fn claim(&self, amount: AmountMsat, preimage: &Preimage) -> Result<(), NodeError> {
        let hash = preimage.payment_hash();
        self.maybe_hang(hash).await;
        let taken = {
            let mut state = self.state();
            if state.faults.claim_fails {
                return Err(NodeError::NotRunning);
            }
            match state.registered.get(&hash) {
                None => return Err(NodeError::Refused("unknown".to_owned())),
                Some((asked, _)) if amount < *asked => {
                    return Err(NodeError::Refused("too little".to_owned()));
                }
                Some(_) => {}
            }
            if state.faults.claim_is_lost {
                return Ok(());
            }
            // Whole, whatever amount the caller names.
            let Some((held, _)) = state.held.remove(&hash) else { return Ok(()) };
            state.outcomes.insert(hash, Outcome::Succeeded(*preimage.expose()));
            state.registered.insert(hash, (held, NodeRecord::Succeeded));
            held
        };
        self.emit(NodeEvent::PaymentReceived { payment_hash: hash, amount: taken });
        Ok(())
    }

    async fn fail_back(&self, payment_hash: PaymentHash) -> Result<(), NodeError> {
        self.maybe_hang(payment_hash).await;
        let mut state = self.state();
        if state.faults.fail_back_fails {
            return Err(NodeError::NotRunning);
        }
        let Some((_, record)) = state.registered.get_mut(&payment_hash) else {
            return Err(NodeError::Refused("unknown".to_owned()));
        };
        *record = NodeRecord::Failed;
        if state.held.remove(&payment_hash).is_some() {
            state.outcomes.insert(payment_hash, Outcome::Failed);
        }
        Ok(())
    }

    async fn send(&self, invoice: &Bolt11Invoice, _fee_limit: AmountMsat) -> Result<(), SendError> {
        let hash = PaymentHash(Digest::new(*invoice.payment_hash().as_ref()));
        let mut state = self.state();
        state.sends += 1;
        if state.faults.no_route {
            // As ldk-node does: a route is looked for before duplicates are, and the failure is listed.
            state.outgoing.insert(hash, NodeRecord::Failed);
            return Err(SendError::NotSent("no_route".to_owned()));
        }
        match state.outgoing.get(&hash) {
            Some(NodeRecord::InFlight | NodeRecord::Succeeded) => return Err(SendError::Duplicate),
            _ if state.faults.send_unknown => return Err(SendError::Unknown(NodeError::NotRunning)),
            _ => {}
        }
        state.outgoing.insert(hash, NodeRecord::InFlight);
        Ok(())
    }

    async fn record(&self, payment_hash: PaymentHash) -> Result<Option<NodeRecord>, NodeError> {
        self.maybe_hang(payment_hash).await;
        Ok(self.record_of(payment_hash))
    }

    async fn next_event(&self) -> NodeEvent {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if let Some(event) = self.state().events.front().cloned() {
                return event;
            }
            arrived.await;
        }
    }

    fn has_event(&self) -> bool {
        !self.state().events.is_empty()
    }

    async fn event_handled(&self) -> Result<(), NodeError> {
        self.state().events.pop_front();
        Ok(())
    }

    async fn stop(&self) {}
}
