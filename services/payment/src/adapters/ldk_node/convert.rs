//! LDK's words into ours.

use ailayer_primitives::{AmountMsat, AmountSat, Digest, PaymentHash};
use ldk_node::lightning::events::PaymentFailureReason;
use ldk_node::lightning::util::ser::Writeable as _;
use ldk_node::lightning_types::payment::PaymentHash as LdkHash;
use ldk_node::{ChannelDetails, Event, NodeError as LdkError};

use crate::domain::channel::{Channel, UserChannelId};
use crate::ports::{NodeError, NodeEvent, SendError};

pub(super) fn error(error: LdkError) -> NodeError {
    match error {
        LdkError::NotRunning => NodeError::NotRunning,
        LdkError::InsufficientFunds => NodeError::InsufficientFunds,
        LdkError::ConnectionFailed => NodeError::PeerUnreachable,
        LdkError::ChannelCreationFailed => {
            NodeError::Refused("the channel's size, push or announcement is not acceptable".to_owned())
        }
        LdkError::InvalidPaymentHash => NodeError::Refused("the payment hash is not known".to_owned()),
        LdkError::InvalidAmount => NodeError::Refused("less arrived than was asked for".to_owned()),
        LdkError::InvoiceCreationFailed => NodeError::Refused("the invoice cannot be made".to_owned()),
        other => NodeError::Failed(Box::new(other)),
    }
}

/// `send` refuses before it hands anything to LDK, or says that LDK found no way; only a failed write leaves
/// the outcome open.
pub(super) fn send_error(failed: LdkError) -> SendError {
    match failed {
        LdkError::DuplicatePayment => SendError::Duplicate,
        LdkError::PaymentSendingFailed => SendError::NotSent("no_route".to_owned()),
        LdkError::InvalidInvoice | LdkError::InvalidAmount => {
            SendError::NotSent("invalid_invoice".to_owned())
        }
        other => SendError::Unknown(error(other)),
    }
}

pub(super) fn channel(details: &ChannelDetails) -> Result<Channel, NodeError> {
    let impossible = |error: ailayer_primitives::AmountError| NodeError::Failed(error.into());
    Ok(Channel {
        user_channel_id: UserChannelId(details.user_channel_id.0),
        peer_node_id: details.counterparty_node_id,
        outbound: details.is_outbound,
        funding: details.funding_txo,
        amount: AmountSat::try_new(details.channel_value_sats).map_err(impossible)?,
        outbound_capacity: AmountMsat::try_new(details.outbound_capacity_msat).map_err(impossible)?,
        inbound_capacity: AmountMsat::try_new(details.inbound_capacity_msat).map_err(impossible)?,
        ready: details.is_channel_ready,
        usable: details.is_usable,
        announced: details.is_announced,
    })
}

pub(super) fn event(event: Event) -> NodeEvent {
    match event {
        Event::PaymentClaimable {
            payment_id,
            payment_hash,
            claimable_amount_msat,
            claim_deadline,
            custom_records: _,
        } => NodeEvent::PaymentClaimable {
            payment_id: payment_id.0,
            payment_hash: hash(payment_hash),
            amount: amount(claimable_amount_msat),
            claim_deadline_height: claim_deadline,
        },
        Event::PaymentReceived { payment_hash, amount_msat, .. } => {
            NodeEvent::PaymentReceived { payment_hash: hash(payment_hash), amount: amount(amount_msat) }
        }
        Event::PaymentSuccessful {
            payment_hash, payment_preimage: Some(preimage), fee_paid_msat, ..
        } => NodeEvent::PaymentSent {
            payment_hash: hash(payment_hash),
            preimage: preimage.0,
            fee: amount(fee_paid_msat.unwrap_or(0)),
        },
        Event::PaymentFailed { payment_hash: Some(payment_hash), reason, .. } => {
            NodeEvent::PaymentFailed { payment_hash: hash(payment_hash), reason: failure(reason).to_owned() }
        }
        Event::PaymentForwarded { total_fee_earned_msat, .. } => NodeEvent::PaymentForwarded {
            fee: amount(total_fee_earned_msat.unwrap_or(0)),
            fingerprint: Digest::sha256(&event.encode()),
        },
        Event::ChannelPending { user_channel_id, .. } => {
            NodeEvent::ChannelPending { user_channel_id: UserChannelId(user_channel_id.0) }
        }
        Event::ChannelReady { user_channel_id, .. } => {
            NodeEvent::ChannelReady { user_channel_id: UserChannelId(user_channel_id.0) }
        }
        Event::ChannelClosed { user_channel_id, reason, .. } => NodeEvent::ChannelClosed {
            user_channel_id: UserChannelId(user_channel_id.0),
            reason: reason.map_or_else(|| "unknown".to_owned(), |reason| reason.to_string()),
        },
        other => NodeEvent::Other(format!("{other:?}")),
    }
}

fn hash(hash: LdkHash) -> PaymentHash {
    PaymentHash(Digest::new(hash.0))
}

/// LDK cannot report more than the channels hold, and those cannot hold more than all bitcoin; if it did, the
/// largest amount would not equal any price and go back.
fn amount(msat: u64) -> AmountMsat {
    AmountMsat::try_new(msat).unwrap_or(AmountMsat::MAX)
}

/// Stable machine words for LDK's reasons.
const fn failure(reason: Option<PaymentFailureReason>) -> &'static str {
    match reason {
        Some(PaymentFailureReason::RecipientRejected) => "recipient_rejected",
        Some(PaymentFailureReason::UserAbandoned) => "abandoned",
        Some(PaymentFailureReason::RetriesExhausted) => "retries_exhausted",
        Some(PaymentFailureReason::PaymentExpired) => "expired",
        Some(PaymentFailureReason::RouteNotFound) => "no_route",
        Some(PaymentFailureReason::UnknownRequiredFeatures) => "unknown_required_features",
        Some(_) => "unexpected",
        None => "unknown",
    }
}
