//! ONNX Runtime through the crate `ort`, its library loaded at start.

use std::path::{Path, PathBuf};

use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::session::Session;
use parking_lot::Mutex;

use crate::cancel::CancelToken;
use crate::ports::{EngineError, InferenceEngine, InferenceSession};

mod metadata;
mod session;
mod values;

use session::OrtSession;

/// The library can be loaded once a process, even after it was given back; so the first one stays.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// What a session is made with.
#[derive(Debug, Clone, Copy)]
pub struct SessionOptions {
    /// The threads that share one operator's work.
    pub intra_threads: usize,
    /// The most bytes the outputs of one run may have.
    pub max_output_bytes: usize,
}

/// ONNX Runtime on the CPU.
pub struct OnnxRuntime {
    environment: Environment,
    options: SessionOptions,
}

impl OnnxRuntime {
    /// Loads the shared library, or takes the one this process has loaded already from the same path.
    pub fn try_new(library: &Path, options: SessionOptions) -> Result<Self, EngineError> {
        let mut loaded = LOADED.lock();
        let environment = match loaded.as_ref() {
            Some((path, environment)) if path == library => environment.clone(),
            Some((path, _)) => {
                let message = format!("this process has already loaded {}", path.display());
                return Err(EngineError::Runtime(message));
            }
            None => {
                let environment = load_library(library)?;
                *loaded = Some((library.to_owned(), environment.clone()));
                environment
            }
        };
        Ok(Self { environment, options })
    }

    fn commit(
        &self,
        model: &[u8],
        intra_threads: Option<usize>,
        cancel: &CancelToken,
    ) -> ort::Result<Session> {
        // The CPU is asked for by name so that the engine never chooses a provider by itself: what
        // receipts name is what runs. Shapes vary from run to run, so memory patterns do not pay.
        let cpu = ep::CPU::default().with_arena_allocator(true).build().error_on_failure();
        let mut builder = Session::builder(&self.environment)?
            .with_execution_providers([cpu])?
            .with_intra_threads(intra_threads.unwrap_or(self.options.intra_threads))?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(false)?;
        let canceler = builder.canceler();
        let _hook = cancel.on_cancel(move || {
            if let Err(error) = canceler.cancel() {
                tracing::warn!(error = %error, "loading could not be cancelled");
            }
        });
        builder.commit_from_memory(model)
    }
}

fn load_library(library: &Path) -> Result<Environment, EngineError> {
    let failed = |error: &dyn std::fmt::Display| {
        EngineError::Runtime(format!("cannot load {}: {error}", library.display()))
    };
    let environment = ort::init_from(library)
        .map_err(|error| failed(&error))?
        .with_name("ailayer")
        .with_telemetry(false)
        .build()
        .map_err(|error| failed(&error))?;
    // The engine logs through `tracing`; below warnings it speaks of every node it optimises.
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

impl InferenceEngine for OnnxRuntime {
    fn load(
        &self,
        model: &[u8],
        intra_threads: Option<usize>,
        cancel: &CancelToken,
    ) -> Result<Box<dyn InferenceSession>, EngineError> {
        let session = self
            .commit(model, intra_threads, cancel)
            .map_err(|error| EngineError::Model(error.message().to_owned()))?;
        Ok(Box::new(OrtSession::try_new(session, self.options.max_output_bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_library_is_a_typed_error() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("libonnxruntime.so");
        std::fs::write(&text, "no library").unwrap();
        let options = SessionOptions { intra_threads: 1, max_output_bytes: 1 };
        for path in [text, folder.path().join("missing.so")] {
            let error = OnnxRuntime::try_new(&path, options).err().unwrap();
            let line = error.to_string();
            assert!(matches!(error, EngineError::Runtime(_)) && line.contains("cannot load"), "{line}");
        }
    }
}
