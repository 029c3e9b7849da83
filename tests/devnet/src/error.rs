//! What can go wrong while running other people's programs.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

use crate::toolbox::Tool;

/// Failure of the devnet. Its `Display` is meant for a person at a terminal and carries the last log lines.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// A program was found neither by environment variable, nor in the cache's `env` file, nor on PATH.
    #[error(
        "{} is missing: {} is not set, {} does not name it and PATH has no {}; `make setup` (deploy/dev/setup) provides it",
        .tool.title(), .tool.variable(), .env_file.display(), .tool.program()
    )]
    MissingTool {
        /// What was looked for.
        tool: Tool,
        /// The file that was consulted, whether it exists or not.
        env_file: PathBuf,
    },

    /// A variable names something which is not there: an explicit setting is never silently replaced.
    #[error("{variable} names {}, which does not exist", .path.display())]
    WrongTool {
        /// Environment variable or key of the `env` file.
        variable: &'static str,
        /// What it names.
        path: PathBuf,
    },

    /// The process ended although it should have kept running.
    #[error("{name} ended by itself ({status}); its last log lines:\n{log_tail}")]
    Exited {
        /// Name of the process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Last lines of its log.
        log_tail: String,
    },

    /// The process runs but did not become ready in time.
    #[error("{name} was not ready after {:.1} s: {reason}; its last log lines:\n{log_tail}", .waited.as_secs_f64())]
    NotReady {
        /// Name of the process.
        name: String,
        /// How long it was given.
        waited: Duration,
        /// What the last check said.
        reason: String,
        /// Last lines of its log.
        log_tail: String,
    },

    /// The call needs a running process and there is none.
    #[error("{name} is not running")]
    NotRunning {
        /// Name of the process.
        name: String,
    },

    /// Something did not happen in the time given.
    #[error("gave up after {:.1} s waiting until {what}", .waited.as_secs_f64())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },

    /// A node or server answered with an error, or not in its protocol.
    #[error("{server} answered {method} with an error: {message} (code {code})")]
    Rpc {
        /// Who answered.
        server: &'static str,
        /// The method called.
        method: String,
        /// Error code of the protocol; 0 when the answer had none.
        code: i64,
        /// What it said.
        message: String,
    },

    /// No answer could be had.
    #[error("{server} did not answer: {message}")]
    Unreachable {
        /// Who was asked.
        server: &'static str,
        /// Why there is no answer.
        message: String,
    },

    /// Setting up or using a database failed.
    #[error("{what}")]
    Database {
        /// What was attempted.
        what: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },

    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl DevnetError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether a server ended because somebody took its port between our looking and its binding.
    pub(crate) fn is_port_clash(&self) -> bool {
        let tells_of_clash = |line: &str| {
            let line = line.to_lowercase();
            ["address already in use", "unable to bind", "could not bind"]
                .iter()
                .any(|sign| line.contains(sign))
        };
        matches!(self, Self::Exited { log_tail, .. } if log_tail.lines().any(tells_of_clash))
    }

    pub(crate) fn unexpected(server: &'static str, method: &str, message: impl Into<String>) -> Self {
        Self::Rpc { server, method: method.to_owned(), code: 0, message: message.into() }
    }
}
