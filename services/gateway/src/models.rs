//! What is loaded, asked for once in a while: a prepaid quote names the model without a call of its own. A model that changed
//! meanwhile is noticed when the answer names another digest.

use std::sync::Arc;
use std::time::Duration;

use ailayer_client::CallError;
use ailayer_client::serving::Model;

use crate::known::Known;
use crate::ports::Serving;

/// How long the list is believed.
const FRESH: Duration = Duration::from_secs(2);

/// The list of loaded models. Cloned freely.
#[derive(Clone)]
pub struct Models {
    serving: Arc<dyn Serving>,
    loaded: Known<Arc<Vec<Model>>>,
}

impl Models {
    /// Asks `serving`.
    pub fn new(serving: Arc<dyn Serving>) -> Self {
        Self { serving, loaded: Known::new(FRESH) }
    }

    /// The model of that name and version; the newest where none is named. None if it is not loaded.
    pub async fn find(&self, name: &str, version: &str) -> Result<Option<Model>, CallError> {
        let models = self.loaded.get(async || self.read().await).await?;
        Ok(named(&models, name, version).cloned())
    }

    /// Asks ahead of need.
    pub async fn refresh(&self) -> Result<(), CallError> {
        self.loaded.refresh(async || self.read().await).await
    }

    async fn read(&self) -> Result<Arc<Vec<Model>>, CallError> {
        Ok(Arc::new(self.serving.list_models().await?))
    }
}

/// The model of that name and version among those that are loaded; the newest where no version is named.
pub fn named<'a>(models: &'a [Model], name: &str, version: &str) -> Option<&'a Model> {
    let mut named = models.iter().filter(|model| model.name == name);
    match version {
        "" => named.max_by_key(|model| model.version.parse::<u64>().unwrap_or(0)),
        version => named.find(|model| model.version == version),
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Models")
    }
}
