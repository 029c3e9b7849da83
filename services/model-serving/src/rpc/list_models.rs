//! `ListModels`.

use ailayer_proto::ailayer::serving::v1::{ListModelsResponse, Model as ModelMessage, TensorSpec};

use super::Rpc;
use super::convert::model_to_proto;
use crate::domain::signature::TensorSpec as Spec;
use crate::model::Model;

pub(super) fn list_models(rpc: &Rpc) -> ListModelsResponse {
    ListModelsResponse { models: rpc.catalog().ready().iter().map(|model| described(model)).collect() }
}

/// Also says which tensors a tensor model takes and gives: whoever sells it must tell.
fn described(model: &Model) -> ModelMessage {
    let described = model_to_proto(model.info());
    if model.info().text.is_some() {
        return described;
    }
    let specs = |specs: &[Spec]| specs.iter().map(tensor_spec).collect();
    let signature = model.signature();
    ModelMessage { inputs: specs(&signature.inputs), outputs: specs(&signature.outputs), ..described }
}

fn tensor_spec(spec: &Spec) -> TensorSpec {
    TensorSpec {
        name: spec.name.clone(),
        datatype: spec.datatype.name().to_owned(),
        shape: spec.shape.clone(),
    }
}
