//! The parent's side.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{ARGUMENT, Limits, Order, Report, ServiceKeys};
use crate::cancel::CancelToken;
use crate::config::Config;
use crate::repository::{Cache, RepositoryError, Staged};

/// How often it is looked whether the child has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How much of what the child says is read.
const MAX_SAID_BYTES: u64 = 64 * 1024;
/// How much of it is shown.
const SHOWN_CHARS: usize = 300;
/// What the child finds in its environment: it shall learn no secrets, and find the engine's libraries.
const KEPT_VARIABLES: [&str; 1] = ["LD_LIBRARY_PATH"];

/// What keeps ONNX Runtime from collecting and storing telemetry. It reads its environment before anybody can tell it otherwise.
pub const NO_TELEMETRY: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// A version that must not be loaded here.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The child could not be started or asked.
    #[error("the trial load could not be run with {}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its files could not be kept.
    #[error(transparent)]
    Folder(#[from] RepositoryError),
    /// It does not load.
    #[error("in the trial load: {0}")]
    Refused(String),
    /// It asked for more memory than it may have.
    #[error("the trial load needs more memory than its limit of {limit} bytes: {said}")]
    Memory {
        /// The limit.
        limit: u64,
        /// The child's last words.
        said: String,
    },
    /// It computed too long.
    #[error("the trial load used more processor time than its limit of {} s", .0.as_secs())]
    CpuTime(Duration),
    /// It took too long.
    #[error("the trial load took longer than its limit of {} s and was killed", .0.as_secs_f32())]
    WallTime(Duration),
    /// It crashed, or somebody killed it.
    #[error("the trial load was killed by {signal}: {said}")]
    Killed {
        /// The signal's name or number.
        signal: String,
        /// The child's last words.
        said: String,
    },
    /// It ended without a word: not a program that knows how to try a model out, perhaps.
    #[error("the trial load with {} gave no report ({status}): {said}", .program.display())]
    NoReport {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The child's last words.
        said: String,
    },
    /// Nobody waits for it any more.
    #[error("cancelled")]
    Cancelled,
}

/// Runs trials, one at a time.
#[derive(Debug)]
pub struct Trial {
    program: PathBuf,
    library: PathBuf,
    limits: Limits,
    service: ServiceKeys,
}

impl Trial {
    /// Trials as the configuration says, with `program`, which must call [`super::run`] for [`ARGUMENT`].
    pub const fn new(program: PathBuf, library: PathBuf, limits: Limits, config: &Config) -> Self {
        let service = ServiceKeys {
            intra_threads: config.intra_threads,
            queue_capacity: config.queue_capacity,
            queue_bytes: config.queue_bytes,
            max_text_bytes: config.max_text_bytes,
            max_items: config.max_items,
            max_batch_rows: config.max_batch_rows,
            max_inference_message_bytes: config.max_inference_message_bytes,
        };
        Self { program, library, limits, service }
    }

    /// Loads and warms a version in a child. Blocks, at most for the wall time of the limits; the child is gone when it returns.
    ///
    /// Answers the memory of one instance, bytes.
    pub fn run(&self, staged: &Staged, cache: &Cache, cancel: &CancelToken) -> Result<u64, TrialError> {
        let place = cache.temporary()?;
        let (report, said) = (place.path().join("report"), place.path().join("said"));
        let mut child = self.start(staged, &report, &said).map_err(|error| self.not_started(error))?;
        let status = self.wait(&mut child, cancel);
        if status.is_err() {
            end(&mut child);
        }
        self.judge(status?, &read(&report), &shown(&read(&said)))
    }

    fn start(&self, staged: &Staged, report: &Path, said: &Path) -> io::Result<Child> {
        let order = Order {
            root: staged.root().to_owned(),
            model: staged.folder.id.name.clone(),
            version: staged.folder.id.version.to_string(),
            model_digest: staged.model_digest,
            library: self.library.clone(),
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            limits: self.limits,
            service: self.service.clone(),
        };
        let kept =
            KEPT_VARIABLES.iter().filter_map(|name| Some((OsStr::new(*name), std::env::var_os(name)?)));
        let mut child = Command::new(&self.program)
            .arg(ARGUMENT)
            .env_clear()
            .envs(kept)
            // Its store in the user's home grows with every process that is killed, and beyond what a trial may write.
            .env(NO_TELEMETRY.0, NO_TELEMETRY.1)
            // Each arena reserves 64 MiB of address space, which would be counted.
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::piped())
            .stdout(File::create_new(report)?)
            .stderr(File::create_new(said)?)
            // A group of its own, so that what it might start ends with it.
            .process_group(0)
            .spawn()?;
        let order = serde_json::to_vec(&order).map_err(io::Error::other);
        // The end of its input tells the child that the order is whole.
        let told = match child.stdin.take() {
            Some(mut stdin) => order.and_then(|order| stdin.write_all(&order)),
            None => Err(io::Error::other("it has no standard input")),
        };
        match told {
            // One that does not listen has ended, or will without a report: its end says more.
            Ok(()) => Ok(child),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(child),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    fn not_started(&self, source: io::Error) -> TrialError {
        TrialError::Start { program: self.program.clone(), source }
    }

    fn wait(&self, child: &mut Child, cancel: &CancelToken) -> Result<ExitStatus, TrialError> {
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(|error| self.not_started(error))? {
                return Ok(status);
            }
            if cancel.is_cancelled() {
                return Err(TrialError::Cancelled);
            }
            if started.elapsed() > self.limits.wall_time {
                return Err(TrialError::WallTime(self.limits.wall_time));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn judge(&self, status: ExitStatus, report: &[u8], said: &str) -> Result<u64, TrialError> {
        let limit = self.limits.memory_bytes;
        if let Some(signal) = status.signal() {
            let said = said.to_owned();
            return Err(match signal {
                signal if signal == Signal::XCPU.as_raw() => TrialError::CpuTime(self.limits.cpu_time),
                signal if signal == Signal::ABORT.as_raw() && is_out_of_memory(&said) => {
                    TrialError::Memory { limit, said }
                }
                signal => TrialError::Killed { signal: name_of(signal), said },
            });
        }
        match serde_json::from_slice(report) {
            Ok(Report::Loaded { instance_bytes }) if status.success() => Ok(instance_bytes),
            Ok(Report::Failed { reason, out_of_memory: true }) => {
                Err(TrialError::Memory { limit, said: shown(reason.as_bytes()) })
            }
            Ok(Report::Failed { reason, .. }) => Err(TrialError::Refused(reason)),
            Ok(Report::Loaded { .. }) | Err(_) => {
                let (program, said) = (self.program.clone(), said.to_owned());
                Err(TrialError::NoReport { program, status, said })
            }
        }
    }
}

/// Ends a child and what it started. It may have ended meanwhile; then there is nothing to kill.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    drop(child.kill());
    drop(child.wait());
}

/// What the runtimes of Rust and C++ say before they abort.
fn is_out_of_memory(said: &str) -> bool {
    said.contains("memory allocation of") || said.contains("bad_alloc")
}

fn name_of(signal: i32) -> String {
    let known = [
        (Signal::SEGV, "SIGSEGV"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::ILL, "SIGILL"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL, by somebody or by the system for want of memory"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XFSZ, "SIGXFSZ, it wrote too much"),
    ];
    let named = known.iter().find(|(known, _)| known.as_raw() == signal);
    named.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

/// Empty if it cannot be read.
fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        drop(file.take(MAX_SAID_BYTES).read_to_end(&mut bytes));
    }
    bytes
}

/// The end of it, in one line.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.chars().count().checked_sub(SHOWN_CHARS) {
        Some(before) if before > 0 => format!("…{}", line.chars().skip(before).collect::<String>()),
        _ if line.is_empty() => "it said nothing".to_owned(),
        _ => line,
    }
}
