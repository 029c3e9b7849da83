//! What the keys about loading, trials and memory come to.

use std::path::PathBuf;

use ailayer_platform::config::ConfigError;

use super::{Config, invalid, missing};
use crate::domain::control::ModelControl;
use crate::memory::Machine;
use crate::trial;

/// Address space that a trial reserves without touching it: stacks of threads and arenas of the allocator.
pub(super) const TRIAL_SLACK_BYTES: u64 = 512 * 1024 * 1024;
/// Stands for every model in `load_at_start`.
const ALL_MODELS: &str = "*";

impl Config {
    /// Refuses what contradicts itself about loading while the service runs.
    pub(super) fn validate_control(&self) -> Result<(), ConfigError> {
        if self.poll_interval.is_zero() {
            return Err(invalid("poll_interval", "must be longer than zero"));
        }
        if self.trial_cpu_time.as_secs() == 0 || self.trial_wall_time.is_zero() {
            return Err(invalid("trial_cpu_time", "and trial_wall_time must be from 1s"));
        }
        if let Some(program) = self.trial_executable.as_ref().filter(|program| !program.is_file()) {
            return Err(invalid("trial_executable", missing(program)));
        }
        if self.model_control != ModelControl::Explicit && !self.load_at_start.is_empty() {
            let reason = "has no meaning without model_control = \"explicit\": all models are loaded";
            return Err(invalid("load_at_start", reason));
        }
        let missing = |name: &&String| *name != ALL_MODELS && !self.repository.join(name).is_dir();
        match self.load_at_start.iter().find(missing) {
            Some(name) => Err(invalid("load_at_start", format!("there is no model '{name}'"))),
            None => Ok(()),
        }
    }

    /// True if the model is loaded at start.
    pub(crate) fn loads_at_start(&self, name: &str) -> bool {
        self.model_control != ModelControl::Explicit
            || self.load_at_start.iter().any(|listed| listed == name || listed == ALL_MODELS)
    }

    /// What all models may take together; none for no limit.
    pub(crate) fn memory_budget(&self, machine: Machine) -> Option<u64> {
        match self.memory_budget_bytes {
            Some(0) => None,
            Some(bytes) => Some(bytes),
            None => machine.total_bytes.map(|total| total / 5 * 4),
        }
    }

    /// What a trial may use.
    pub(crate) fn trial_limits(&self, machine: Machine) -> trial::Limits {
        let derived = || {
            let available = machine.available_bytes.map(|available| available / 4 * 3);
            let least = self.memory_budget(machine).into_iter().chain(available).min();
            least.unwrap_or(u64::MAX).saturating_add(TRIAL_SLACK_BYTES)
        };
        trial::Limits {
            memory_bytes: self.trial_memory_bytes.unwrap_or_else(derived),
            cpu_time: self.trial_cpu_time,
            wall_time: self.trial_wall_time,
        }
    }

    /// The program that tries models out.
    pub(crate) fn trial_program(&self) -> std::io::Result<PathBuf> {
        self.trial_executable.clone().map_or_else(std::env::current_exe, Ok)
    }

    /// Where models are copied to.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        let user = rustix::process::geteuid().as_raw();
        let default = || std::env::temp_dir().join(format!("ailayer-{}-{user}", crate::NAME));
        self.cache_dir.clone().unwrap_or_else(default)
    }
}
