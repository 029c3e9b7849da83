//! Loads every version of the repository, on a thread of its own, while the service already answers health.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use ailayer_platform::health::{Component, Health};

use crate::cancel::CancelToken;
use crate::catalog::Catalog;
use crate::error::chain;
use crate::loading::Loader;
use crate::repository::VersionFolder;

/// A running load. Must be stopped before the process ends: the engine's exit handlers would race it.
pub struct LoadModels {
    cancel: CancelToken,
    thread: JoinHandle<()>,
}

impl LoadModels {
    /// Starts. Every version is a component of `health`, ready once it is in the catalog.
    pub fn start(
        loader: Loader,
        folders: Vec<VersionFolder>,
        catalog: Arc<Catalog>,
        health: &Health,
    ) -> std::io::Result<Self> {
        let repository = health.component("repository");
        match folders.is_empty() {
            true => repository.set_unready("it holds no model"),
            false => repository.set_ready(),
        }
        let work: Vec<(VersionFolder, Component)> = folders
            .into_iter()
            .map(|folder| {
                let component = health.component(format!("model/{}", folder.id));
                health.set_name(&folder.id.name, Some(false));
                (folder, component)
            })
            .collect();
        let cancel = CancelToken::default();
        let token = cancel.clone();
        let health = health.clone();
        let thread = Builder::new().name("load_models".to_owned()).spawn(move || {
            for (folder, component) in &work {
                if token.is_cancelled() {
                    return;
                }
                if load(&loader, folder, component, &catalog, &token) {
                    // A model serves as soon as one of its versions does.
                    health.set_name(&folder.id.name, Some(true));
                }
            }
        })?;
        Ok(Self { cancel, thread })
    }

    /// Cancels what is being loaded and joins the thread. Blocks.
    pub fn stop(self) {
        self.cancel.cancel();
        if self.thread.join().is_err() {
            tracing::error!("the loading thread panicked");
        }
    }
}

fn load(
    loader: &Loader,
    folder: &VersionFolder,
    component: &Component,
    catalog: &Catalog,
    cancel: &CancelToken,
) -> bool {
    let _span = tracing::info_span!("load_model", model = %folder.id).entered();
    let started = Instant::now();
    match loader.load(folder, cancel) {
        Ok(model) => {
            let info = model.info();
            tracing::info!(
                digest = %info.digest,
                execution_provider = info.execution_provider,
                took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "model loaded"
            );
            catalog.insert(model);
            component.set_ready();
            true
        }
        Err(error) => {
            let reason = chain(&error);
            tracing::error!(error = %reason, "model not loaded");
            component.set_unready(reason);
            false
        }
    }
}
