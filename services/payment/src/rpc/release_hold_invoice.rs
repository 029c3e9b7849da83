//! `ReleaseHoldInvoice`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::{ReleaseHoldInvoiceRequest, ReleaseHoldInvoiceResponse};

use super::convert;
use crate::app::App;

/// The longest reason.
const MAX_REASON_CHARS: usize = 64;

pub(super) async fn handle(
    app: &App,
    request: &ReleaseHoldInvoiceRequest,
) -> Result<ReleaseHoldInvoiceResponse, Failure> {
    let id = convert::invoice_id(&request.invoice_id)?;
    check_reason(&request.reason)?;
    let invoice = app.holds.release(id, &request.reason).await?;
    Ok(ReleaseHoldInvoiceResponse { invoice: Some(convert::hold_invoice(&invoice)) })
}

fn check_reason(reason: &str) -> Result<(), Failure> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if reason.is_empty() || reason.len() > MAX_REASON_CHARS || !reason.chars().all(is_word) {
        let rule = "must be a machine word of 1 to 64 characters: a-z, 0-9, _";
        return Err(Failure::invalid_field("reason", rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_machine_words() {
        assert!(check_reason("model_failed").is_ok());
        for wrong in ["", "Model failed", "a\nb", &"x".repeat(65)] {
            assert!(check_reason(wrong).is_err(), "{wrong:?}");
        }
    }
}
