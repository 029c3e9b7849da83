//! `CreateAddress`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::payment::v1::CreateAddressResponse;

use crate::app::App;
use crate::error::ServiceError;

pub(super) async fn handle(app: &App) -> Result<CreateAddressResponse, Failure> {
    let address = app.node.new_address().await.map_err(ServiceError::from)?;
    Ok(CreateAddressResponse { address })
}
