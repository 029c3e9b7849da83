//! Models are loaded, swapped and unloaded while they are called.

use std::time::Duration;

use ailayer_model_serving::{Config, ModelControl};
use ailayer_proto::inference::model_repository_parameter::ParameterChoice;
use ailayer_proto::inference::repository_index_response::ModelIndex;
use ailayer_proto::inference::{
    ModelInferRequest, ModelMetadataRequest, ModelRepositoryParameter, RepositoryIndexRequest,
    RepositoryModelLoadRequest, RepositoryModelUnloadRequest,
};
use tonic::Status;

use crate::support::{Repository, Running, floats, infer, input};

mod explicit;
mod overrides;
mod poll;
mod traffic;

/// What the poll tests look at the folder with.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A repository whose models are loaded by calls; those named are loaded at start, `*` all.
fn explicit(repository: &Repository, at_start: &[&str]) -> Config {
    let mut config = repository.config();
    config.model_control = ModelControl::Explicit;
    config.load_at_start = at_start.iter().map(|name| (*name).to_owned()).collect();
    config.poll_interval = POLL_INTERVAL;
    config
}

/// A repository that is polled.
fn polled(repository: &Repository) -> Config {
    let mut config = repository.config();
    config.model_control = ModelControl::Poll;
    config.poll_interval = POLL_INTERVAL;
    config
}

impl Running {
    pub async fn load(&mut self, name: &str) -> Result<(), Status> {
        self.load_with(name, vec![]).await
    }

    pub async fn load_with(
        &mut self,
        name: &str,
        parameters: Vec<(&str, ParameterChoice)>,
    ) -> Result<(), Status> {
        let parameters = parameters.into_iter().map(|(name, choice)| {
            (name.to_owned(), ModelRepositoryParameter { parameter_choice: Some(choice) })
        });
        let request = RepositoryModelLoadRequest {
            model_name: name.to_owned(),
            parameters: parameters.collect(),
            ..Default::default()
        };
        self.inference.repository_model_load(request).await.map(drop)
    }

    pub async fn unload(&mut self, name: &str) -> Result<(), Status> {
        let request = RepositoryModelUnloadRequest { model_name: name.to_owned(), ..Default::default() };
        self.inference.repository_model_unload(request).await.map(drop)
    }

    pub async fn index(&mut self) -> Vec<ModelIndex> {
        let request = RepositoryIndexRequest::default();
        self.inference.repository_index(request).await.unwrap().into_inner().models
    }

    /// The index, one `name/version STATE` each.
    pub async fn states(&mut self) -> Vec<String> {
        let line = |model: &ModelIndex| format!("{}/{} {}", model.name, model.version, model.state);
        self.index().await.iter().map(line).collect()
    }

    /// Waits until the index has these lines and no others.
    pub async fn until_states(&mut self, expected: &[&str]) {
        let mut states = vec![];
        for _ in 0..500 {
            states = self.states().await;
            if states == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{states:?} instead of {expected:?}");
    }

    /// Waits until a version's reason has a text.
    pub async fn until_reason(&mut self, name: &str, version: &str, text: &str) {
        let mut reason = String::new();
        for _ in 0..500 {
            let index = self.index().await;
            let entry = index.into_iter().find(|model| model.name == name && model.version == version);
            reason = entry.map(|model| model.reason).unwrap_or_default();
            if reason.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("'{reason}' of {name}/{version} has no '{text}'");
    }

    /// `sum` of 3 and 1, and the version that said so.
    pub async fn three_and_one(&mut self, model: &str) -> Result<(f32, String), Status> {
        let answer = self.inference.model_infer(three_and_one(model)).await?.into_inner();
        let sum = answer.outputs.iter().find(|output| output.name == "sum").unwrap();
        Ok((sum.contents.as_ref().unwrap().fp32_contents[0], answer.model_version))
    }

    pub async fn digest(&mut self, model: &str) -> String {
        let request = ModelMetadataRequest { name: model.to_owned(), version: String::new() };
        let metadata = self.inference.model_metadata(request).await.unwrap().into_inner();
        metadata.properties["digest"].clone()
    }
}

fn three_and_one(model: &str) -> ModelInferRequest {
    let tensor = |name: &str, value: f32| input(name, "FP32", &[1, 2], floats(&[value, value]));
    infer(model, vec![tensor("a", 3.0), tensor("b", 1.0)])
}
