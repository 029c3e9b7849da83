//! The thread: takes commands, and looks at the folder now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ailayer_platform::health::Component;

use super::apply::Renew;
use super::watch::{Change, Watch};
use super::{Command, ControlError, Parts, WATCH_EVERY};
use crate::cancel::CancelToken;
use crate::catalog::BROKEN;
use crate::domain::control::{LoadOverrides, ModelControl};
use crate::domain::input_error::shown;
use crate::domain::model::ModelId;
use crate::error::chain;
use crate::repository::{self, Fingerprint, Staged};
use crate::tasks::retire_models::RetireModels;

/// What the thread owns.
pub(super) struct Thread {
    pub(super) parts: Parts,
    pub(super) retire: Arc<RetireModels>,
    pub(super) cancel: CancelToken,
    /// What serves.
    pub(super) live: BTreeMap<ModelId, Live>,
    pub(super) components: BTreeMap<ModelId, Component>,
    watch: Watch,
    repository: Component,
    broken: BTreeSet<ModelId>,
}

/// What a look at the folder showed.
#[derive(Default)]
struct Look {
    seen: BTreeMap<String, Fingerprint>,
    /// Cannot be read just now; the others can.
    unreadable: BTreeSet<String>,
}

/// What a version that serves was made of.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) staged: Staged,
    /// What it was found to take.
    pub(super) memory_bytes: u64,
}

impl Thread {
    pub(super) fn new(parts: Parts, retire: Arc<RetireModels>, cancel: CancelToken) -> Self {
        let repository = parts.health.component("repository");
        Self {
            parts,
            retire,
            cancel,
            live: BTreeMap::new(),
            components: BTreeMap::new(),
            watch: Watch::default(),
            repository,
            broken: BTreeSet::new(),
        }
    }

    pub(super) fn run(mut self, at_start: &[String], commands: &Receiver<Command>) {
        self.load_at_start(at_start);
        let every = self.tick_interval();
        let mut tick_at = later(every);
        while !self.cancel.is_cancelled() {
            match commands.recv_timeout(tick_at.saturating_duration_since(Instant::now())) {
                Ok(Command::Load { name, overrides, reply }) => {
                    // A caller who left has his model all the same.
                    drop(reply.send(self.load(&name, &overrides)));
                }
                Ok(Command::Unload { name, reply }) => drop(reply.send(self.unload(&name))),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.tick();
                    tick_at = later(every);
                }
            }
        }
    }

    fn control(&self) -> ModelControl {
        self.parts.models.loader.config().model_control
    }

    fn root(&self) -> &Path {
        &self.parts.models.loader.config().repository
    }

    fn tick_interval(&self) -> Duration {
        let poll = self.parts.models.loader.config().poll_interval;
        if self.control() == ModelControl::Poll { poll } else { WATCH_EVERY.min(poll) }
    }

    /// Every version is a component of health before the first is loaded: ready means that all are.
    fn load_at_start(&mut self, names: &[String]) {
        if self.control() == ModelControl::Poll
            && let Some(look) = self.look()
        {
            self.watch.loaded(look.seen);
        }
        let mut work = Vec::new();
        for name in names {
            let folder = self.root().join(name);
            match repository::versions(name, &folder, None) {
                Ok(versions) => {
                    self.announce(name, &versions);
                    work.push((name, versions));
                }
                Err(error) => tracing::error!(model = name, error = %chain(&error), "model not loaded"),
            }
        }
        self.judge_repository(work.iter().all(|(_, versions)| versions.is_empty()));
        for (name, versions) in work {
            if self.cancel.is_cancelled() {
                return;
            }
            // Logged, and told by health.
            drop(self.apply(name, versions, None, Renew::All));
        }
    }

    fn judge_repository(&self, empty: bool) {
        match empty && self.control() != ModelControl::Explicit {
            true => self.repository.set_unready("it holds no model"),
            false => self.repository.set_ready(),
        }
    }

    fn tick(&mut self) {
        self.find_broken();
        match self.control() {
            ModelControl::None => {}
            ModelControl::Explicit => self.find_unloaded(),
            ModelControl::Poll => self.poll(),
        }
    }

    /// Versions that take no more calls keep the service from being ready until they are loaded anew.
    fn find_broken(&mut self) {
        for model in self.parts.catalog.ready() {
            let id = &model.info().id;
            if !model.is_broken() {
                self.broken.remove(id);
            } else if self.broken.insert(id.clone())
                && let Some(component) = self.components.get(id)
            {
                component.set_unready(BROKEN);
            }
        }
    }

    /// So that the index shows what may be loaded.
    fn find_unloaded(&self) {
        let Ok(models) = repository::models(self.root()) else { return };
        for (name, folder) in &models {
            if let Ok(versions) = repository::versions(name, folder, None)
                && self.parts.catalog.ready_versions(name).is_empty()
            {
                self.parts.catalog.found(versions.into_iter().map(|version| version.id));
            }
        }
    }

    fn poll(&mut self) {
        let Some(Look { seen, unreadable }) = self.look() else { return };
        for change in self.watch.observe(seen, &unreadable) {
            if self.cancel.is_cancelled() {
                return;
            }
            match change {
                Change::Load(name) => {
                    let folder = self.root().join(&name);
                    match repository::versions(&name, &folder, None) {
                        Ok(versions) if versions.is_empty() && repository::has_versions(&folder) => {
                            // A mistake in the policy takes nothing away, as with an explicit load.
                            let error = ControlError::NoVersion(name.clone());
                            tracing::error!(model = name, error = %error, "model not loaded");
                        }
                        Ok(versions) if versions.is_empty() => self.remove(&name),
                        // Logged, and told by the index.
                        Ok(versions) => drop(self.apply(&name, versions, None, Renew::Changed)),
                        Err(error) => {
                            tracing::error!(model = name, error = %chain(&error), "model not loaded");
                        }
                    }
                }
                Change::Remove(name) => self.remove(&name),
            }
        }
        self.judge_repository(self.components.is_empty());
    }

    /// All models; none if the folder cannot be read just now, which is no reason to unload.
    fn look(&self) -> Option<Look> {
        let models = match repository::models(self.root()) {
            Ok(models) => models,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the repository cannot be polled");
                return None;
            }
        };
        let mut look = Look::default();
        for (name, folder) in models {
            match repository::fingerprint(&folder) {
                Ok(fingerprint) => drop(look.seen.insert(name, fingerprint)),
                Err(error) => {
                    tracing::warn!(model = name, error = %chain(&error), "the model cannot be polled");
                    look.unreadable.insert(name);
                }
            }
        }
        Some(look)
    }

    fn load(&mut self, name: &str, overrides: &LoadOverrides) -> Result<(), ControlError> {
        let _span = tracing::info_span!("load", model = name).entered();
        if !repository::is_model_name(name) {
            return Err(ControlError::NoModel(shown(name)));
        }
        if let Some(path) = overrides.stray_path() {
            return Err(ControlError::StrayPath(shown(path)));
        }
        let incoming = match overrides.files.is_empty() {
            true => None,
            false => Some(self.parts.models.cache.incoming(name, &overrides.files)?),
        };
        let folder =
            incoming.as_ref().map_or_else(|| self.root().join(name), |files| files.path().to_owned());
        if !folder.is_dir() {
            return Err(ControlError::NoModel(name.to_owned()));
        }
        let config_json = overrides.config_json.as_deref();
        let versions = repository::versions(name, &folder, config_json)?;
        if versions.is_empty() {
            return Err(ControlError::NoVersion(name.to_owned()));
        }
        self.apply(name, versions, config_json, Renew::All)
    }
}

fn later(interval: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(interval).unwrap_or(now)
}
