//! `DeriveSealKey`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::{DeriveSealKeyRequest, DeriveSealKeyResponse};
use ailayer_seal::SharedSecret;
use zeroize::Zeroizing;

use super::convert;
use crate::app::App;

pub(super) async fn handle(
    app: &App,
    request: DeriveSealKeyRequest,
) -> Result<DeriveSealKeyResponse, Failure> {
    let id = convert::invoice_id(&request.invoice_id)?;
    let shared = shared_secret(&Zeroizing::new(request.shared_secret))?;
    let key = app.holds.seal_key(id, &shared).await?;
    Ok(DeriveSealKeyResponse { seal_key: key.expose().to_vec() })
}

fn shared_secret(bytes: &[u8]) -> Result<SharedSecret, Failure> {
    let exact: Result<[u8; 32], _> = bytes.try_into();
    match exact.map(Zeroizing::new) {
        Ok(secret) if secret.iter().any(|byte| *byte != 0) => Ok(SharedSecret::new(secret)),
        _ => Err(Failure::invalid_field("shared_secret", "must be 32 bytes, not all zero")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_secret_has_32_bytes_and_is_none_that_everybody_knows() {
        assert!(shared_secret(&[1; 32]).is_ok());
        for wrong in [vec![], vec![1; 31], vec![1; 33], vec![0; 32]] {
            assert!(shared_secret(&wrong).is_err(), "{wrong:?}");
        }
    }
}
