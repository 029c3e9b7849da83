//! Between protobuf and domain types.

use ailayer_platform::error::Failure;
use ailayer_primitives::{Digest, PaymentHash};
use ailayer_proto::ailayer::payment::v1 as pb;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::PublicKey;

use crate::domain::channel::Channel;
use crate::domain::hold_invoice::{HoldInvoice, HoldState};
use crate::domain::invoice_id::InvoiceId;
use crate::domain::outgoing::{OutgoingPayment, PaymentState};

pub(super) fn invoice_id(text: &str) -> Result<InvoiceId, Failure> {
    text.parse().map_err(|error| Failure::invalid_field("invoice_id", format!("{error}")))
}

pub(super) fn digest(field: &str, bytes: &[u8]) -> Result<Digest, Failure> {
    Digest::try_from(bytes).map_err(|error| Failure::invalid_field(field, error.to_string()))
}

pub(super) fn payment_hash(bytes: &[u8]) -> Result<PaymentHash, Failure> {
    digest("payment_hash", bytes).map(PaymentHash)
}

pub(super) fn node_id(field: &str, bytes: &[u8]) -> Result<PublicKey, Failure> {
    let wrong = || Failure::invalid_field(field, "must be a compressed public key, 33 bytes");
    let exact: [u8; 33] = bytes.try_into().map_err(|_| wrong())?;
    PublicKey::from_slice(&exact).map_err(|_| wrong())
}

pub(super) fn hold_invoice(invoice: &HoldInvoice) -> pb::HoldInvoice {
    pb::HoldInvoice {
        invoice_id: invoice.invoice_id.to_string(),
        payment_hash: invoice.payment_hash.0.to_vec(),
        bolt11: invoice.bolt11.clone(),
        amount_msat: invoice.price().msat(),
        state: hold_state(invoice.state).into(),
        accepted_amount_msat: invoice.hold.map_or(0, |hold| hold.amount.msat()),
        claim_deadline_height: invoice.claim_deadline().unwrap_or(0),
        expiry_unix_s: invoice.expiry.0,
        release_reason: invoice.release_reason.clone(),
        accepted_unix_ms: invoice.hold.map_or(0, |hold| hold.accepted_at.0),
    }
}

const fn hold_state(state: HoldState) -> pb::HoldInvoiceState {
    match state {
        HoldState::Intent => pb::HoldInvoiceState::Intent,
        HoldState::Open => pb::HoldInvoiceState::Open,
        HoldState::Accepted => pb::HoldInvoiceState::Accepted,
        HoldState::ClaimRequested => pb::HoldInvoiceState::ClaimRequested,
        HoldState::Claimed => pb::HoldInvoiceState::Claimed,
        HoldState::Lost => pb::HoldInvoiceState::Lost,
        HoldState::ReleaseRequested => pb::HoldInvoiceState::ReleaseRequested,
        HoldState::Released => pb::HoldInvoiceState::Released,
        HoldState::Expired => pb::HoldInvoiceState::Expired,
    }
}

pub(super) fn payment(payment: &OutgoingPayment) -> pb::Payment {
    let state = match payment.state {
        PaymentState::Pending => pb::PaymentState::Pending,
        PaymentState::InFlight => pb::PaymentState::InFlight,
        PaymentState::Succeeded => pb::PaymentState::Succeeded,
        PaymentState::Failed => pb::PaymentState::Failed,
    };
    pb::Payment {
        payment_hash: payment.payment_hash.0.to_vec(),
        amount_msat: payment.amount.msat(),
        fee_msat: payment.fee.msat(),
        state: state.into(),
        failure_reason: payment.failure_reason.clone(),
        preimage: payment.preimage.map(|preimage| preimage.to_vec()).unwrap_or_default(),
    }
}

pub(super) fn channel(channel: &Channel) -> pb::Channel {
    pb::Channel {
        user_channel_id: channel.user_channel_id.to_bytes().to_vec(),
        peer_node_id: channel.peer_node_id.serialize().to_vec(),
        funding_txid: channel
            .funding
            .map(|funding| funding.txid.to_byte_array().to_vec())
            .unwrap_or_default(),
        funding_vout: channel.funding.map_or(0, |funding| funding.vout),
        channel_amount_sat: channel.amount.sat(),
        outbound_capacity_msat: channel.outbound_capacity.msat(),
        inbound_capacity_msat: channel.inbound_capacity.msat(),
        ready: channel.ready,
        usable: channel.usable,
        announced: channel.announced,
    }
}
