//! Which models there are, and which of them can serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::model::{ModelId, Version};
use crate::error::ServeError;
use crate::model::Model;

/// Every version that was found, in the order of names and versions.
#[derive(Debug, Default)]
pub struct Catalog {
    models: RwLock<BTreeMap<ModelId, Option<Arc<Model>>>>,
}

impl Catalog {
    /// Versions that are known but not loaded.
    pub fn new(ids: impl IntoIterator<Item = ModelId>) -> Self {
        Self { models: RwLock::new(ids.into_iter().map(|id| (id, None)).collect()) }
    }

    /// Offers a loaded version.
    pub fn insert(&self, model: Model) {
        self.models.write().insert(model.info().id.clone(), Some(Arc::new(model)));
    }

    /// The version asked for; an empty one means the newest that is ready.
    pub fn resolve(&self, name: &str, version: &str) -> Result<Arc<Model>, ServeError> {
        let models = self.models.read();
        let of_that_name = models.iter().filter(|(id, _)| id.name == name);
        let found = match version {
            "" => of_that_name.rev().find_map(|(_, model)| model.clone()),
            _ => {
                let version = version.parse::<Version>().ok();
                of_that_name
                    .filter(|(id, _)| Some(id.version) == version)
                    .find_map(|(_, model)| model.clone())
            }
        };
        found.ok_or_else(|| ServeError::ModelNotFound { name: name.to_owned(), version: version.to_owned() })
    }

    /// The versions that can serve, in order.
    pub fn ready(&self) -> Vec<Arc<Model>> {
        self.models.read().values().flatten().cloned().collect()
    }

    /// The versions of one model that can serve, in order.
    pub fn ready_versions(&self, name: &str) -> Vec<Version> {
        let models = self.models.read();
        models
            .iter()
            .filter(|(id, model)| id.name == name && model.is_some())
            .map(|(id, _)| id.version)
            .collect()
    }

    /// Stops every model and joins its threads. Blocks.
    pub fn stop(&self) {
        for model in self.ready() {
            model.stop();
        }
    }
}
