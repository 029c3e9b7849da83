//! Which models there are, and which of them can serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::domain::control::{IndexEntry, ModelState};
use crate::domain::model::{ModelId, Version};
use crate::error::ServeError;
use crate::model::Model;

/// Every version that was found, in the order of names and versions.
///
/// A call takes its model out as an [`Arc`] and keeps it until it is answered: a version that was taken off the catalog
/// meanwhile still answers it.
#[derive(Debug, Default)]
pub struct Catalog {
    versions: RwLock<BTreeMap<ModelId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// What serves, whatever the state says about other files of the version.
    model: Option<Arc<Model>>,
    state: ModelState,
    reason: String,
    /// It is on its way out and will not come back: it counts as gone.
    gone: bool,
}

impl Entry {
    const fn without_model(state: ModelState, reason: String) -> Self {
        Self { model: None, state, reason, gone: false }
    }
}

impl Catalog {
    /// Adds versions that are known but not loaded; what is in the catalog already stays as it is.
    pub fn found(&self, ids: impl IntoIterator<Item = ModelId>) {
        let mut versions = self.versions.write();
        for id in ids {
            let unloaded = || Entry::without_model(ModelState::Unloaded, String::new());
            versions.entry(id).or_insert_with(unloaded);
        }
    }

    /// The version is being loaded. One that serves meanwhile stays READY.
    pub fn loading(&self, id: &ModelId) {
        let mut versions = self.versions.write();
        let entry = versions
            .entry(id.clone())
            .or_insert_with(|| Entry::without_model(ModelState::Loading, String::new()));
        if entry.model.is_none() {
            *entry = Entry::without_model(ModelState::Loading, String::new());
        }
    }

    /// The version does not load. One that serves goes on, with the reason beside it.
    pub fn failed(&self, id: &ModelId, reason: &str) {
        let mut versions = self.versions.write();
        match versions.get_mut(id) {
            Some(entry) if entry.model.is_some() => entry.reason = format!("its new files: {reason}"),
            _ => {
                let entry = Entry::without_model(ModelState::Unavailable, reason.to_owned());
                versions.insert(id.clone(), entry);
            }
        }
    }

    /// Puts versions of one model in the place of all others of it, in one step; `kept` ones that serve go on.
    ///
    /// Answers what no new call gets any more: replaced versions, and those that are now UNLOADING. `stays` if the latter may be
    /// loaded again; else they are forgotten.
    pub fn swap(&self, name: &str, new: Vec<Model>, kept: &[ModelId], stays: bool) -> Vec<Arc<Model>> {
        let mut versions = self.versions.write();
        let mut out = Vec::new();
        for (id, entry) in versions.iter_mut().filter(|(id, _)| id.name == name) {
            if kept.contains(id) {
                entry.reason = String::new();
                continue;
            }
            if let Some(model) = entry.model.take() {
                out.push(model);
                *entry = Entry::without_model(ModelState::Unloading, String::new());
                entry.gone = !stays;
            }
        }
        for model in new {
            let id = model.info().id.clone();
            let ready = Entry::without_model(ModelState::Ready, String::new());
            versions.insert(id, Entry { model: Some(Arc::new(model)), ..ready });
        }
        out
    }

    /// A version's last call has ended.
    pub fn retired(&self, id: &ModelId) {
        let mut versions = self.versions.write();
        match versions.get_mut(id) {
            Some(entry) if entry.state == ModelState::Unloading && entry.gone => drop(versions.remove(id)),
            Some(entry) if entry.state == ModelState::Unloading => {
                *entry = Entry::without_model(ModelState::Unloaded, "unloaded".to_owned());
            }
            // It was loaded again meanwhile.
            _ => {}
        }
    }

    /// Those versions of a model that do not serve are unloaded on request, too: they are not tried again.
    pub fn unloaded(&self, name: &str) {
        let mut versions = self.versions.write();
        let idle = |entry: &Entry| matches!(entry.state, ModelState::Unavailable | ModelState::Loading);
        for (_, entry) in versions.iter_mut().filter(|(id, entry)| id.name == name && idle(entry)) {
            *entry = Entry::without_model(ModelState::Unloaded, "unloaded".to_owned());
        }
    }

    /// Forgets the versions of a model that neither are among `ids` nor have calls.
    pub fn retain(&self, name: &str, ids: &[ModelId]) {
        let keep = |id: &ModelId, entry: &mut Entry| {
            id.name != name
                || ids.contains(id)
                || entry.model.is_some()
                || entry.state == ModelState::Unloading
        };
        self.versions.write().retain(keep);
    }

    /// The version asked for; an empty one means the newest that is ready.
    ///
    /// A version that was found and is not loaded is another matter than one that does not exist: callers who
    /// have been promised an answer wait for the first and give up on the second.
    pub fn resolve(&self, name: &str, version: &str) -> Result<Arc<Model>, ServeError> {
        let wanted = version.parse::<Version>().ok();
        let fits = |id: &ModelId| id.name == name && (version.is_empty() || Some(id.version) == wanted);
        let versions = self.versions.read();
        let fitting = versions.iter().rev().filter(|(id, _)| fits(id));
        let exists = fitting.clone().any(|(_, entry)| !entry.gone);
        let (name, version) = (name.to_owned(), version.to_owned());
        let mut serving = fitting.filter_map(|(_, entry)| entry.model.as_ref());
        let newest = serving.clone().next();
        // One that panics again and again answers only if there is no other.
        match serving.find(|model| !model.is_broken()).or(newest) {
            Some(model) => Ok(Arc::clone(model)),
            None if exists => Err(ServeError::ModelNotReady { name, version }),
            None => Err(ServeError::ModelNotFound { name, version }),
        }
    }

    /// The versions that can serve, in order.
    pub fn ready(&self) -> Vec<Arc<Model>> {
        self.versions.read().values().filter_map(|entry| entry.model.clone()).collect()
    }

    /// The versions of one model that can serve, in order.
    pub fn ready_versions(&self, name: &str) -> Vec<Version> {
        let versions = self.versions.read();
        let ready = versions.iter().filter(|(id, entry)| id.name == name && entry.model.is_some());
        ready.map(|(id, _)| id.version).collect()
    }

    /// What there is, in the order of names and versions; only what serves, if `ready_only`.
    pub fn index(&self, ready_only: bool) -> Vec<IndexEntry> {
        let versions = self.versions.read();
        let entries = versions.iter().map(|(id, entry)| {
            let broken = entry.model.as_ref().is_some_and(|model| model.is_broken());
            let (state, reason) = match broken {
                true => (ModelState::Unavailable, BROKEN.to_owned()),
                false => (entry.state, entry.reason.clone()),
            };
            IndexEntry { name: id.name.clone(), version: id.version.to_string(), state, reason }
        });
        entries.filter(|entry| !ready_only || entry.state == ModelState::Ready).collect()
    }

    /// Stops every model and joins its threads. Blocks.
    pub fn stop(&self) {
        for model in self.ready() {
            model.stop();
        }
    }
}

/// Why a version that panics takes no more calls.
pub const BROKEN: &str = "it panicked again and again and takes no more calls; load it anew";

#[cfg(test)]
mod tests;
