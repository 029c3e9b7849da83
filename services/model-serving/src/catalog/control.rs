//! A repository that is loaded once, at start.

use ailayer_platform::error::{ErrorReason, Failure};
use futures::FutureExt as _;
use futures::future::{self, BoxFuture};

use super::Catalog;
use crate::domain::control::{IndexEntry, LoadOverrides, ModelState};
use crate::ports::RepositoryControl;

impl RepositoryControl for Catalog {
    fn index(&self, ready_only: bool) -> Vec<IndexEntry> {
        let models = self.models.read();
        let entries = models.iter().map(|(id, model)| IndexEntry {
            name: id.name.clone(),
            version: id.version.to_string(),
            state: if model.is_some() { ModelState::Ready } else { ModelState::Unavailable },
            reason: if model.is_some() { "" } else { "not loaded" }.to_owned(),
        });
        entries.filter(|entry| !ready_only || entry.state == ModelState::Ready).collect()
    }

    fn load(&self, _: String, _: LoadOverrides) -> BoxFuture<'_, Result<(), Failure>> {
        future::ready(Err(not_offered())).boxed()
    }

    fn unload(&self, _: String) -> BoxFuture<'_, Result<(), Failure>> {
        future::ready(Err(not_offered())).boxed()
    }
}

fn not_offered() -> Failure {
    Failure::new(ErrorReason::NotOffered, "models are loaded at start only")
}
