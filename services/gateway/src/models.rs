//! What is loaded, asked for once in a while: a prepaid quote names the model without a call of its own. A model that changed
//! meanwhile is noticed when the answer names another digest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_client::CallError;
use ailayer_client::serving::Model;
use tokio::sync::Mutex;

use crate::ports::Serving;

/// How long the list is believed.
const FRESH: Duration = Duration::from_secs(2);

/// The list of loaded models. Cloned freely.
#[derive(Clone)]
pub struct Models {
    serving: Arc<dyn Serving>,
    known: Arc<Mutex<Known>>,
}

/// What is loaded, and when that was asked.
type Known = Option<(Instant, Arc<Vec<Model>>)>;

impl Models {
    /// Asks `serving`.
    pub fn new(serving: Arc<dyn Serving>) -> Self {
        Self { serving, known: Arc::default() }
    }

    /// The model of that name and version; the newest where none is named. None if it is not loaded.
    pub async fn find(&self, name: &str, version: &str) -> Result<Option<Model>, CallError> {
        let models = self.list().await?;
        let mut named = models.iter().filter(|model| model.name == name);
        let found = match version {
            "" => named.max_by_key(|model| model.version.parse::<u64>().unwrap_or(0)),
            version => named.find(|model| model.version == version),
        };
        Ok(found.cloned())
    }

    /// Forgets the list: something it said was not so.
    pub async fn forget(&self) {
        *self.known.lock().await = None;
    }

    /// One caller asks, the others wait for the same answer.
    async fn list(&self) -> Result<Arc<Vec<Model>>, CallError> {
        let mut known = self.known.lock().await;
        if let Some((at, models)) = &*known
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(models));
        }
        let models = Arc::new(self.serving.list_models().await?);
        *known = Some((Instant::now(), Arc::clone(&models)));
        Ok(models)
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Models")
    }
}
