use std::collections::BTreeMap;

use ailayer_primitives::Digest;

use super::*;
use crate::cancel::CancelToken;
use crate::domain::call::CallContext;
use crate::domain::model::ModelInfo;
use crate::domain::settings::ModelSettings;
use crate::domain::signature::Signature;
use crate::domain::tensor::NamedTensor;
use crate::model::Parts;
use crate::ports::{InferenceSession, SessionError};

/// A graph without tensors that panics when it is run.
struct Panics(Signature);

impl InferenceSession for Panics {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn execution_provider(&self) -> &'static str {
        "none"
    }

    fn run(
        &mut self,
        _: &[NamedTensor],
        _: &[String],
        _: usize,
        _: &CancelToken,
    ) -> Result<Vec<NamedTensor>, SessionError> {
        panic!("as it does")
    }
}

fn id(version: &str) -> ModelId {
    ModelId { name: "m".to_owned(), version: version.parse().unwrap() }
}

fn model(version: &str) -> Model {
    let signature = || Signature { inputs: Vec::new(), outputs: Vec::new() };
    let info = ModelInfo {
        id: id(version),
        digest: Digest::sha256(version.as_bytes()),
        execution_provider: "none",
        properties: BTreeMap::new(),
        text: None,
        batching_refused: None,
    };
    let parts = Parts {
        info,
        signature: signature(),
        settings: ModelSettings::defaults(&crate::Config::new("").service_limits()),
        sessions: vec![Box::new(Panics(signature()))],
        text: None,
        padding: None,
        memory: None,
        largest_batch: false,
    };
    Model::start(parts, &CancelToken::default()).unwrap()
}

fn states(catalog: &Catalog) -> Vec<(String, ModelState, String)> {
    let entries = catalog.index(false).into_iter();
    entries.map(|entry| (entry.version, entry.state, entry.reason)).collect()
}

fn state(version: &str, state: ModelState, reason: &str) -> (String, ModelState, String) {
    (version.to_owned(), state, reason.to_owned())
}

#[test]
fn a_version_goes_through_its_states() {
    let catalog = Catalog::default();
    let refusal = |catalog: &Catalog| catalog.resolve("m", "").unwrap_err();
    assert!(matches!(refusal(&catalog), ServeError::ModelNotFound { .. }));
    catalog.found([id("1")]);
    assert_eq!(states(&catalog), [state("1", ModelState::Unloaded, "")]);
    catalog.loading(&id("1"));
    assert_eq!(states(&catalog), [state("1", ModelState::Loading, "")]);
    catalog.failed(&id("1"), "so it is");
    assert_eq!(states(&catalog), [state("1", ModelState::Unavailable, "so it is")]);
    assert!(matches!(refusal(&catalog), ServeError::ModelNotReady { .. }));

    assert!(catalog.swap("m", vec![model("1")], &[], false).is_empty());
    assert_eq!(states(&catalog), [state("1", ModelState::Ready, "")]);
    // It serves: neither a load nor its failure takes that away.
    catalog.loading(&id("1"));
    catalog.failed(&id("1"), "newer");
    assert_eq!(states(&catalog), [state("1", ModelState::Ready, "its new files: newer")]);
    assert!(catalog.resolve("m", "1").is_ok());

    let out = catalog.swap("m", Vec::new(), &[], true);
    assert_eq!(out.len(), 1);
    assert_eq!(states(&catalog), [state("1", ModelState::Unloading, "")]);
    assert!(matches!(refusal(&catalog), ServeError::ModelNotReady { .. }));
    catalog.retired(&id("1"));
    assert_eq!(states(&catalog), [state("1", ModelState::Unloaded, "unloaded")]);
    catalog.retain("m", &[]);
    assert_eq!(states(&catalog), []);
}

#[test]
fn a_swap_is_one_step_and_what_it_replaces_is_gone() {
    let catalog = Catalog::default();
    drop(catalog.swap("m", vec![model("1"), model("2")], &[], false));
    let kept = catalog.resolve("m", "2").unwrap();
    let out = catalog.swap("m", vec![model("3")], &[id("2")], false);
    assert_eq!(out.iter().map(|model| model.info().id.clone()).collect::<Vec<_>>(), [id("1")]);
    assert!(Arc::ptr_eq(&kept, &catalog.resolve("m", "2").unwrap()));
    assert_eq!(catalog.resolve("m", "").unwrap().info().id, id("3"));
    assert!(matches!(catalog.resolve("m", "1"), Err(ServeError::ModelNotFound { .. })));
    // One that is loaded again while its predecessor still has calls stays.
    let again = catalog.swap("m", vec![model("3")], &[id("2")], false);
    catalog.retired(&id("3"));
    assert!(catalog.resolve("m", "3").is_ok() && again.len() == 1);
    catalog.retired(&id("1"));
    assert_eq!(states(&catalog).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_only_panics_shows_as_unavailable() {
    let catalog = Catalog::default();
    drop(catalog.swap("m", vec![model("1")], &[], false));
    let model = catalog.resolve("m", "").unwrap();
    for _ in 0..3 {
        assert_eq!(states(&catalog), [state("1", ModelState::Ready, "")]);
        assert!(model.infer(Vec::new(), Vec::new(), &CallContext::default()).await.is_err());
    }
    assert_eq!(states(&catalog), [state("1", ModelState::Unavailable, BROKEN)]);
    assert!(catalog.index(true).is_empty());
}
