//! `ClaimHoldInvoice`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::{ClaimHoldInvoiceRequest, ClaimHoldInvoiceResponse};

use super::convert;
use crate::app::App;

pub(super) async fn handle(
    app: &App,
    request: &ClaimHoldInvoiceRequest,
) -> Result<ClaimHoldInvoiceResponse, Failure> {
    let invoice = app.holds.claim(convert::invoice_id(&request.invoice_id)?).await?;
    Ok(ClaimHoldInvoiceResponse { invoice: Some(convert::hold_invoice(&invoice)) })
}
