//! From what a model's folder holds to what serves.
//!
//! Everything new is loaded and warm before anything old goes. If a version does not load and the model serves already, nothing
//! changes at all; if it did not serve, the versions that do load go live.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::load_limit::LoadLimit;
use super::thread::{Live, Thread};
use super::{ControlError, Models};
use crate::domain::input_error::shown;
use crate::domain::model::{ModelId, Version};
use crate::domain::settings::Swap;
use crate::error::chain;
use crate::loading::LoadError;
use crate::memory::{BudgetError, Reservation};
use crate::model::Model;
use crate::repository::{self, Staged, VersionFolder};

/// What a model that was not tried out is taken for: its graph in memory, and the engine's own form of it.
const UNTRIED_FACTOR: u64 = 2;

/// Which versions are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renew {
    /// Those whose files are others than what serves.
    Changed,
    /// All of them.
    All,
}

/// What became of the versions of one model.
#[derive(Default)]
struct Outcome {
    loaded: Vec<(Live, Model)>,
    kept: Vec<ModelId>,
    failed: Vec<(ModelId, LoadError)>,
}

impl Thread {
    /// Makes the versions serve, and no others of the model.
    ///
    /// # Errors
    /// The first version that does not load.
    pub(super) fn apply(
        &mut self,
        name: &str,
        versions: Vec<VersionFolder>,
        config_json: Option<&str>,
        renew: Renew,
    ) -> Result<(), ControlError> {
        let wanted: Vec<ModelId> = versions.iter().map(|folder| folder.id.clone()).collect();
        let mut outcome = Outcome::default();
        let fresh = self.stage(versions, config_json, renew, &mut outcome);
        let serving: Vec<Version> = self.parts.catalog.ready_versions(name);
        let all_or_nothing = !serving.is_empty();
        let refused = |outcome: &Outcome| all_or_nothing && !outcome.failed.is_empty();

        let replaced: Vec<Live> = self.live.values().filter(|live| live.is_of(name)).cloned().collect();
        let unload_first = all_or_nothing && fresh.iter().any(|it| it.settings.swap == Swap::UnloadFirst);
        let mut unloaded = false;
        for staged in fresh {
            if refused(&outcome) || self.cancel.is_cancelled() {
                break;
            }
            if unload_first && !unloaded {
                unloaded = true;
                self.unload_and_wait(name, &outcome.kept);
            }
            self.parts.catalog.loading(&staged.folder.id);
            match self.load_version(staged.clone(), None) {
                Ok(loaded) => outcome.loaded.push(loaded),
                Err(error) => outcome.failed.push((staged.folder.id.clone(), error)),
            }
        }
        if self.cancel.is_cancelled() {
            return Err(ControlError::Stopping);
        }
        if refused(&outcome) {
            let failed = std::mem::take(&mut outcome.failed);
            for (live, model) in std::mem::take(&mut outcome.loaded) {
                // Stopped here: it never served.
                drop(model);
                let reason = "another version of the model does not load";
                self.parts.catalog.failed(live.id(), reason);
            }
            if unloaded {
                self.restore(name, &replaced, &outcome.kept);
            }
            return self.report(name, &wanted, failed);
        }
        let failed = std::mem::take(&mut outcome.failed);
        self.go_live(name, outcome);
        self.report(name, &wanted, failed)
    }

    /// Copies the versions' files; what serves already with the very same is kept.
    fn stage(
        &mut self,
        versions: Vec<VersionFolder>,
        config_json: Option<&str>,
        renew: Renew,
        outcome: &mut Outcome,
    ) -> Vec<Staged> {
        let limits = self.parts.models.loader.config().service_limits();
        let mut fresh = Vec::new();
        for folder in versions {
            match self.parts.models.cache.stage(&folder, config_json, &limits) {
                Ok(staged) => {
                    let same = |live: &Live| live.staged.digest == staged.digest;
                    if renew == Renew::Changed && self.live.get(&folder.id).is_some_and(same) {
                        outcome.kept.push(folder.id);
                    } else {
                        fresh.push(staged);
                    }
                }
                Err(error) => outcome.failed.push((folder.id, error.into())),
            }
        }
        fresh
    }

    /// Tries a version out, takes its part of the memory budget and loads it. `memory_bytes` is what it takes, if that was found
    /// out before: then it is not tried out again.
    fn load_version(&self, staged: Staged, memory_bytes: Option<u64>) -> Result<(Live, Model), LoadError> {
        let id = &staged.folder.id;
        let _span = tracing::info_span!("load_model", model = %id).entered();
        let started = Instant::now();
        let memory_bytes = match memory_bytes {
            Some(bytes) => bytes,
            None => self.try_out(&staged)?,
        };
        let memory = Some(self.reserve(memory_bytes)?);
        let model = self.load_within_time(&staged, memory)?;
        let info = model.info();
        tracing::info!(
            digest = %info.digest,
            execution_provider = info.execution_provider,
            memory_bytes,
            took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "model loaded"
        );
        Ok((Live { staged, memory_bytes }, model))
    }

    fn load_within_time(&self, staged: &Staged, memory: Option<Reservation>) -> Result<Model, LoadError> {
        let loader = &self.parts.models.loader;
        let time = loader.config().trial_wall_time;
        let limit = LoadLimit::start(time, &self.cancel)?;
        let loaded = loader.load_copy(&staged.folder, staged.model_digest, memory, limit.token());
        match loaded {
            Err(_) if limit.token().is_cancelled() && !self.cancel.is_cancelled() => {
                Err(LoadError::TooLong(time))
            }
            loaded => loaded,
        }
    }

    /// Answers the memory of all instances, bytes.
    fn try_out(&self, staged: &Staged) -> Result<u64, LoadError> {
        let Models { trial, cache, .. } = &self.parts.models;
        let one = match trial {
            Some(trial) => trial.run(staged, cache, &self.cancel)?,
            None => staged.model_bytes.saturating_mul(UNTRIED_FACTOR),
        };
        Ok(one.saturating_mul(u64::try_from(staged.settings.instances).unwrap_or(u64::MAX)))
    }

    fn reserve(&self, bytes: u64) -> Result<Reservation, BudgetError> {
        self.parts.models.budget.reserve(bytes).or_else(|_| {
            // What is on its way out makes room in a moment.
            self.retire.wait();
            self.parts.models.budget.reserve(bytes)
        })
    }

    fn go_live(&mut self, name: &str, outcome: Outcome) {
        let Outcome { loaded, mut kept, .. } = outcome;
        let (live, models): (Vec<Live>, Vec<Model>) = loaded.into_iter().unzip();
        let out = self.parts.catalog.swap(name, models, &kept, false);
        kept.extend(live.iter().map(|live| live.id().clone()));
        self.live.retain(|id, _| id.name != name || kept.contains(id));
        self.live.extend(live.into_iter().map(|live| (live.id().clone(), live)));
        // A swap fails no call: those that run have all the time that a call may take.
        let config = self.parts.models.loader.config();
        let patience = config.platform.grace_period.max(config.platform.server.request_timeout);
        self.retire.retire(out, patience);
        for id in &kept {
            self.component(id).set_ready();
        }
        self.tell_health(name);
    }

    /// A model serves by its name as long as one of its versions does.
    fn tell_health(&self, name: &str) {
        let serves = !self.parts.catalog.ready_versions(name).is_empty();
        self.parts.health.set_name(name, Some(serves));
    }

    /// Tells catalog, health and log what did not load, and forgets versions that are of no interest any more.
    fn report(
        &mut self,
        name: &str,
        wanted: &[ModelId],
        failed: Vec<(ModelId, LoadError)>,
    ) -> Result<(), ControlError> {
        for (id, error) in &failed {
            let reason = chain(error);
            tracing::error!(model = %id, error = %reason, "model not loaded");
            self.parts.catalog.failed(id, &reason);
            // What was there at start, or served, is missed. Files that came later and do not load are the
            // business of who brought them: the service stays ready.
            match self.components.get(id) {
                Some(component) if !self.live.contains_key(id) => component.set_unready(reason),
                _ => {}
            }
        }
        self.parts.catalog.retain(name, wanted);
        let stale: Vec<ModelId> = self
            .components
            .keys()
            .filter(|id| id.name == name && !wanted.contains(id) && !self.live.contains_key(id))
            .cloned()
            .collect();
        self.forget_components(&stale);
        match failed.into_iter().next() {
            None => Ok(()),
            Some((id, source)) => Err(ControlError::Load { id, source: Box::new(source) }),
        }
    }

    /// Makes room first, where the files say so.
    fn unload_and_wait(&mut self, name: &str, kept: &[ModelId]) {
        let out = self.parts.catalog.swap(name, Vec::new(), kept, true);
        for model in &out {
            self.live.remove(&model.info().id);
        }
        self.tell_health(name);
        self.retire.retire(out, self.grace());
        self.retire.wait();
    }

    /// Loads again what went first, from the copies it was loaded from.
    fn restore(&mut self, name: &str, replaced: &[Live], kept: &[ModelId]) {
        let mut outcome = Outcome { kept: kept.to_vec(), ..Outcome::default() };
        for live in replaced.iter().filter(|live| !kept.contains(live.id())) {
            match self.load_version(live.staged.clone(), Some(live.memory_bytes)) {
                Ok(loaded) => outcome.loaded.push(loaded),
                Err(error) => {
                    let (id, reason) = (live.id(), chain(&error));
                    tracing::error!(model = %id, error = %reason, "model not restored");
                    self.parts.catalog.failed(id, &reason);
                    self.component(id).set_unready(reason);
                }
            }
        }
        self.go_live(name, outcome);
    }

    /// Unloads every version on request: it may be loaded again.
    pub(super) fn unload(&mut self, name: &str) -> Result<(), ControlError> {
        let known = self.parts.catalog.index(false).iter().any(|entry| entry.name == name);
        let there = || repository::is_model_name(name) && self.folder_of(name).is_dir();
        if !known && !there() {
            return Err(ControlError::NoModel(shown(name)));
        }
        self.take_off(name, true);
        self.parts.catalog.unloaded(name);
        self.parts.health.set_name(name, Some(false));
        Ok(())
    }

    /// The model's folder is gone.
    pub(super) fn remove(&mut self, name: &str) {
        tracing::info!(model = name, "its folder is gone, the model is unloaded");
        self.take_off(name, false);
        self.parts.catalog.retain(name, &[]);
        self.parts.health.set_name(name, None);
    }

    fn take_off(&mut self, name: &str, stays: bool) {
        let out = self.parts.catalog.swap(name, Vec::new(), &[], stays);
        self.live.retain(|id, _| id.name != name);
        let gone: Vec<ModelId> = self.components.keys().filter(|id| id.name == name).cloned().collect();
        self.forget_components(&gone);
        self.retire.retire(out, self.grace());
    }

    /// Makes versions known to health, not ready, before they are loaded.
    pub(super) fn announce(&mut self, name: &str, versions: &[VersionFolder]) {
        for folder in versions {
            self.component(&folder.id);
        }
        if !versions.is_empty() {
            self.parts.health.set_name(name, Some(false));
        }
    }

    fn component(&mut self, id: &ModelId) -> &ailayer_platform::health::Component {
        let health = &self.parts.health;
        self.components.entry(id.clone()).or_insert_with(|| health.component(format!("model/{id}")))
    }

    fn forget_components(&mut self, ids: &[ModelId]) {
        for id in ids {
            if let Some(component) = self.components.remove(id) {
                component.remove();
            }
        }
    }

    fn folder_of(&self, name: &str) -> PathBuf {
        self.parts.models.loader.config().repository.join(name)
    }

    fn grace(&self) -> Duration {
        self.parts.models.loader.config().platform.grace_period
    }
}

impl Live {
    const fn id(&self) -> &ModelId {
        &self.staged.folder.id
    }

    fn is_of(&self, name: &str) -> bool {
        self.id().name == name
    }
}
