//! Which models there are, and which of them can serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::model::{ModelId, Version};
use crate::error::ServeError;
use crate::model::Model;

mod control;

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
    ///
    /// A version that was found and is not loaded is another matter than one that does not exist: callers who
    /// have been promised an answer wait for the first and give up on the second.
    pub fn resolve(&self, name: &str, version: &str) -> Result<Arc<Model>, ServeError> {
        let wanted = version.parse::<Version>().ok();
        let fits = |id: &ModelId| id.name == name && (version.is_empty() || Some(id.version) == wanted);
        let models = self.models.read();
        let mut fitting = models.iter().rev().filter(|(id, _)| fits(id)).map(|(_, model)| model).peekable();
        let exists = fitting.peek().is_some();
        let (name, version) = (name.to_owned(), version.to_owned());
        match fitting.flatten().next() {
            Some(model) => Ok(Arc::clone(model)),
            None if exists => Err(ServeError::ModelNotReady { name, version }),
            None => Err(ServeError::ModelNotFound { name, version }),
        }
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
