//! `PayInvoice`.

use ailayer_platform::error::Failure;
use ailayer_primitives::AmountMsat;
use ailayer_proto::ailayer::payment::v1::{PayInvoiceRequest, PayInvoiceResponse};

use super::convert;
use crate::app::App;

pub(super) async fn handle(app: &App, request: &PayInvoiceRequest) -> Result<PayInvoiceResponse, Failure> {
    let max_amount = AmountMsat::try_new(request.max_amount_msat)
        .map_err(|error| Failure::invalid_field("max_amount_msat", error.to_string()))?;
    let payment = app.payments.pay(request.bolt11.trim(), max_amount).await?;
    Ok(PayInvoiceResponse { payment: Some(convert::payment(&payment)) })
}
