//! `GetHoldInvoice`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::get_hold_invoice_request::Name;
use ailayer_proto::ailayer::payment::v1::{GetHoldInvoiceRequest, GetHoldInvoiceResponse};

use super::convert;
use crate::app::App;

pub(super) async fn handle(
    app: &App,
    request: GetHoldInvoiceRequest,
) -> Result<GetHoldInvoiceResponse, Failure> {
    let invoice = match request.name {
        Some(Name::InvoiceId(id)) => app.holds.find(convert::invoice_id(&id)?).await?,
        Some(Name::PaymentHash(hash)) => app.holds.find_by_hash(convert::payment_hash(&hash)?).await?,
        None => return Err(Failure::invalid_field("name", "give an invoice_id or a payment_hash")),
    };
    Ok(GetHoldInvoiceResponse { invoice: Some(convert::hold_invoice(&invoice)) })
}
