//! `CreateHoldInvoice`.

use ailayer_platform::error::Failure;
use ailayer_primitives::AmountMsat;
use ailayer_proto::ailayer::payment::v1::{CreateHoldInvoiceRequest, CreateHoldInvoiceResponse};

use super::convert;
use crate::app::App;
use crate::domain::hold_invoice::Terms;

/// The longest an invoice may be payable: a day.
const MAX_EXPIRY_S: u32 = 86_400;

pub(super) async fn handle(
    app: &App,
    request: CreateHoldInvoiceRequest,
) -> Result<CreateHoldInvoiceResponse, Failure> {
    let id = convert::invoice_id(&request.invoice_id)?;
    let amount = AmountMsat::try_new(request.amount_msat)
        .map_err(|error| Failure::invalid_field("amount_msat", error.to_string()))?;
    if amount == AmountMsat::ZERO {
        return Err(Failure::invalid_field("amount_msat", "must be at least 1"));
    }
    if request.expiry_s == 0 || request.expiry_s > MAX_EXPIRY_S {
        return Err(Failure::invalid_field("expiry_s", "must be 1 to 86400"));
    }
    let description_hash = convert::digest("description_hash", &request.description_hash)?;
    let terms = Terms { amount, description_hash, expiry_s: request.expiry_s };
    let invoice = app.holds.create(id, terms).await?;
    Ok(CreateHoldInvoiceResponse { invoice: Some(convert::hold_invoice(&invoice)) })
}
