//! `GetPayment`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::{GetPaymentRequest, GetPaymentResponse};

use super::convert;
use crate::app::App;

pub(super) async fn handle(app: &App, request: &GetPaymentRequest) -> Result<GetPaymentResponse, Failure> {
    let payment = app.payments.find(convert::payment_hash(&request.payment_hash)?).await?;
    Ok(GetPaymentResponse { payment: Some(convert::payment(&payment)) })
}
