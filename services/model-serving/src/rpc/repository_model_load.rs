//! `RepositoryModelLoad`.

use std::collections::HashMap;

use ailayer_platform::error::Failure;
use ailayer_proto::inference::model_repository_parameter::ParameterChoice;
use ailayer_proto::inference::{
    ModelRepositoryParameter, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
};
use tonic::Status;

use super::Rpc;
use super::repository_index::check_repository;
use crate::domain::control::LoadOverrides;
use crate::domain::input_error::{InputError, shown};

/// Carries a configuration as JSON.
const CONFIG: &str = "config";
/// Begins the name of a parameter that carries a file; the rest is its path in the model's folder.
const FILE_PREFIX: &str = "file:";

pub(super) async fn repository_model_load(
    rpc: &Rpc,
    request: RepositoryModelLoadRequest,
) -> Result<RepositoryModelLoadResponse, Status> {
    let RepositoryModelLoadRequest { repository_name, model_name, parameters } = request;
    check_repository(&repository_name)?;
    let overrides = overrides(parameters).map_err(Failure::from)?;
    rpc.control().load(model_name, overrides).await?;
    Ok(RepositoryModelLoadResponse {})
}

/// Unknown parameters are ignored, as those of an inference are.
fn overrides(parameters: HashMap<String, ModelRepositoryParameter>) -> Result<LoadOverrides, InputError> {
    let mut overrides = LoadOverrides::default();
    for (name, parameter) in parameters {
        match (name.strip_prefix(FILE_PREFIX), parameter.parameter_choice) {
            (Some(path), Some(ParameterChoice::BytesParam(bytes))) => {
                overrides.files.insert(path.to_owned(), bytes);
            }
            (None, Some(ParameterChoice::StringParam(json))) if name == CONFIG => {
                overrides.config_json = Some(json);
            }
            (Some(_), _) => return Err(wrong(&name, "bytes")),
            (None, _) if name == CONFIG => return Err(wrong(&name, "a text")),
            (None, _) => {}
        }
    }
    // Triton's rule: files of the folder and files of the request are never mixed.
    if overrides.config_json.is_none() && !overrides.files.is_empty() {
        return Err(InputError::Value {
            field: "parameters".to_owned(),
            detail: "files must come together with 'config'".to_owned(),
        });
    }
    Ok(overrides)
}

fn wrong(name: &str, expected: &str) -> InputError {
    InputError::Value {
        field: "parameters".to_owned(),
        detail: format!("'{}' must be {expected}", shown(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &[(&str, ParameterChoice)]) -> Result<LoadOverrides, InputError> {
        let parameters = parameters.iter().map(|(name, choice)| {
            let parameter = ModelRepositoryParameter { parameter_choice: Some(choice.clone()) };
            ((*name).to_owned(), parameter)
        });
        overrides(parameters.collect())
    }

    #[test]
    fn configuration_and_files_are_passed_on() {
        let bytes = || ParameterChoice::BytesParam(vec![1, 2].into());
        let json = || ParameterChoice::StringParam("{}".to_owned());
        let parsed =
            parse(&[("config", json()), ("file:1/model.onnx", bytes()), ("other", bytes())]).unwrap();
        assert_eq!(parsed.config_json.as_deref(), Some("{}"));
        assert_eq!(parsed.files.keys().collect::<Vec<_>>(), ["1/model.onnx"]);
        assert_eq!(parse(&[]), Ok(LoadOverrides::default()));
        for bad in [("config", bytes()), ("file:1/model.onnx", json()), ("file:1/model.onnx", bytes())] {
            assert!(parse(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
    }
}
