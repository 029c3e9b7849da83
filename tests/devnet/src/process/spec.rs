//! What to run, and how to end it.

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use rustix::process::Signal;

use crate::error::DevnetError;

/// Description of a process. Only `name`, `program` and `log_file` are needed; the rest has defaults.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// Name in messages.
    pub name: String,
    /// Executable, as a path.
    pub program: PathBuf,
    /// Arguments, visible to every user of the machine: no secrets in them.
    pub args: Vec<OsString>,
    /// Variables added to the inherited environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working folder; ours by default.
    pub working_dir: Option<PathBuf>,
    /// Where standard output and error go; appended to.
    pub log_file: PathBuf,
    /// User to run as; ours by default.
    pub account: Option<Account>,
    /// Asks for an orderly end. SIGTERM by default.
    pub stop_signal: Signal,
    /// Sent when the handle is dropped or this process dies: data need not survive. SIGKILL by default.
    pub drop_signal: Signal,
    /// How long an orderly end may take. 20 s by default.
    pub grace_period: Duration,
}

impl ProcessSpec {
    /// A process with the defaults stated at the fields.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, log_file: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            working_dir: None,
            log_file: log_file.into(),
            account: None,
            stop_signal: Signal::TERM,
            drop_signal: Signal::KILL,
            grace_period: Duration::from_secs(20),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    pub(super) fn command_line(&self) -> String {
        let args = self.args.iter().map(|arg| arg.to_string_lossy());
        let words: Vec<_> = std::iter::once(self.program.to_string_lossy()).chain(args).collect();
        words.join(" ")
    }
}

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Account {
    /// The user `nobody` when we are root, for programs that refuse to run as root; else none is needed.
    ///
    /// # Errors
    /// `Io` when we are root and the machine has no such user.
    pub fn unprivileged() -> Result<Option<Self>, DevnetError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").map_err(DevnetError::io("reading /etc/passwd"))?;
        let nobody = users.lines().find_map(parse_nobody);
        nobody.map(Some).ok_or_else(|| {
            DevnetError::io("looking for the user nobody in /etc/passwd")(std::io::ErrorKind::NotFound.into())
        })
    }
}

fn parse_nobody(line: &str) -> Option<Account> {
    let mut fields = line.strip_prefix("nobody:")?.split(':').skip(1);
    Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Account, parse_nobody};

    #[test]
    fn finds_nobody() {
        let account = parse_nobody("nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin");
        assert_eq!(account, Some(Account { uid: 65534, gid: 65533 }));
        assert_eq!(parse_nobody("root:x:0:0:root:/root:/bin/bash"), None);
        assert_eq!(parse_nobody("nobody:x:"), None);
    }
}
