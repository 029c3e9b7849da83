//! `ListModels`.

use ailayer_proto::ailayer::serving::v1::ListModelsResponse;

use super::Rpc;
use super::convert::model_to_proto;

pub(super) fn list_models(rpc: &Rpc) -> ListModelsResponse {
    ListModelsResponse {
        models: rpc.catalog().ready().iter().map(|model| model_to_proto(model.info())).collect(),
    }
}
