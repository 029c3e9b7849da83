//! A child process: started in its own process group, logged to a file, never left behind.

mod log_tail;
mod spec;
pub(crate) mod watchdog;

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use rustix::process::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::error::DevnetError;
pub use spec::{Account, ProcessSpec};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a dropped process gets to follow its `drop_signal` before it is killed.
const DROP_GRACE: Duration = Duration::from_secs(5);
/// Waits for a line, so that the program starts only after the watchdog knows about it; then becomes the program.
const GATE: &str = r#"read -r _ || exit 125; exec "$@" </dev/null"#;

/// A process that can be started, stopped, killed and started again with the same arguments.
///
/// Dropping it ends the process (blocking, for up to five seconds where the program asks for it).
#[derive(Debug)]
pub struct Process {
    spec: ProcessSpec,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    NotStarted,
    Running { child: Child, log_start: u64 },
    Ended { status: ExitStatus, log_start: u64 },
}

impl Process {
    /// Describes a process; starts nothing.
    pub fn new(spec: ProcessSpec) -> Self {
        Self { spec, state: Mutex::new(State::NotStarted) }
    }

    /// Name in messages and of the log file.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What it was made from.
    pub fn spec(&self) -> &ProcessSpec {
        &self.spec
    }

    /// Starts it. Does nothing when it runs already.
    ///
    /// # Errors
    /// `Io` when it cannot be started. A program that does not exist shows as an early end instead.
    pub fn start(&self) -> Result<(), DevnetError> {
        self.start_with_env(&[])
    }

    /// Starts it with more environment variables, for this time only. Does nothing when it runs already.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_with_env(&self, extra: &[(OsString, OsString)]) -> Result<(), DevnetError> {
        let mut state = self.lock();
        if refresh(&mut state)? {
            return Ok(());
        }
        let (child, log_start) =
            self.spawn(extra).map_err(DevnetError::io(format!("starting {}", self.spec.name)))?;
        *state = State::Running { child, log_start };
        Ok(())
    }

    fn spawn(&self, extra: &[(OsString, OsString)]) -> std::io::Result<(Child, u64)> {
        let mut log = OpenOptions::new().create(true).append(true).open(&self.spec.log_file)?;
        let log_start = log.metadata()?.len();
        writeln!(log, "=== {} ===", self.spec.command_line())?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(GATE).arg(&self.spec.name).arg(&self.spec.program).args(&self.spec.args);
        command.envs(self.spec.env.iter().chain(extra).map(|(key, value)| (key, value)));
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0);
        if let Some(dir) = &self.spec.working_dir {
            command.current_dir(dir);
        }
        if let Some(account) = self.spec.account {
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = command.spawn()?;
        let opened = watchdog::end_group(Pid::from_child(&child), self.spec.drop_signal)
            .and_then(|()| child.stdin.take().map_or(Ok(()), |mut gate| gate.write_all(b"go\n")));
        if let Err(error) = opened {
            signal_group(Pid::from_child(&child), Signal::KILL);
            child.wait()?;
            return Err(error);
        }
        Ok((child, log_start))
    }

    /// Process id, also its process group; none when it does not run.
    pub fn pid(&self) -> Option<u32> {
        match &*self.lock() {
            State::Running { child, .. } => Some(child.id()),
            State::NotStarted | State::Ended { .. } => None,
        }
    }

    /// Whether it runs now.
    pub fn is_running(&self) -> bool {
        refresh(&mut self.lock()).unwrap_or(false)
    }

    /// Whether it was stopped by a signal and waits for SIGCONT.
    pub fn is_halted(&self) -> bool {
        let Some(pid) = self.pid() else { return false };
        // `pid (name) state …`; the name may hold anything.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }

    /// Waits until `probe` succeeds. The probe says what is missing; it is tried again after a short pause.
    ///
    /// # Errors
    /// `Exited` as soon as the process ends, `NotReady` after `timeout`; both show the last log lines.
    pub async fn wait_until_ready<P, F>(&self, timeout: Duration, mut probe: P) -> Result<(), DevnetError>
    where
        P: FnMut() -> F,
        F: Future<Output = Result<(), String>>,
    {
        let began = Instant::now();
        let mut reason = String::from("it did not answer at all");
        while let Some(left) = timeout.checked_sub(began.elapsed()) {
            self.check_running()?;
            match tokio::time::timeout(left, probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(missing)) => reason = missing,
                Err(_elapsed) => break,
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.check_running()?;
        Err(DevnetError::NotReady {
            name: self.spec.name.clone(),
            waited: timeout,
            reason,
            log_tail: self.log_tail(),
        })
    }

    /// Succeeds while it runs.
    ///
    /// # Errors
    /// `Exited` with the last log lines when it has ended, `NotRunning` when it was never started.
    pub fn check_running(&self) -> Result<(), DevnetError> {
        let mut state = self.lock();
        if refresh(&mut state)? {
            return Ok(());
        }
        let name = self.spec.name.clone();
        match *state {
            State::Ended { status, log_start } => {
                let log_tail = log_tail::since(&self.spec.log_file, log_start);
                Err(DevnetError::Exited { name, status, log_tail })
            }
            State::NotStarted | State::Running { .. } => Err(DevnetError::NotRunning { name }),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `TimedOut` when it still runs after `timeout`, `NotRunning` when it was never started.
    pub async fn wait_for_exit(&self, timeout: Duration) -> Result<ExitStatus, DevnetError> {
        let began = Instant::now();
        loop {
            {
                let mut state = self.lock();
                refresh(&mut state)?;
                match *state {
                    State::Ended { status, .. } => return Ok(status),
                    State::NotStarted => {
                        return Err(DevnetError::NotRunning { name: self.spec.name.clone() });
                    }
                    State::Running { .. } => {}
                }
            }
            if began.elapsed() >= timeout {
                return Err(DevnetError::TimedOut {
                    what: format!("{} ends", self.spec.name),
                    waited: timeout,
                });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Asks it to end and waits; kills it when its grace period is over. Fine when it does not run.
    ///
    /// # Errors
    /// `Io` when its end cannot be observed.
    pub async fn stop(&self) -> Result<(), DevnetError> {
        if !self.is_running() {
            return Ok(());
        }
        self.signal(self.spec.stop_signal)?;
        match self.wait_for_exit(self.spec.grace_period).await {
            Ok(_status) => Ok(()),
            Err(DevnetError::TimedOut { .. }) => {
                tracing::warn!(name = self.spec.name, "did not end within its grace period, killing it");
                self.kill9().await
            }
            Err(error) => Err(error),
        }
    }

    /// Kills it and its process group with SIGKILL, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// `Io` when its end cannot be observed.
    pub async fn kill9(&self) -> Result<(), DevnetError> {
        if !self.is_running() {
            return Ok(());
        }
        self.signal(Signal::KILL)?;
        self.wait_for_exit(DROP_GRACE).await.map(drop)
    }

    /// Sends a signal to its process group; `Signal::STOP` and `Signal::CONT` make it hang and go on.
    ///
    /// # Errors
    /// `NotRunning` when there is nobody to receive it.
    pub fn signal(&self, signal: Signal) -> Result<(), DevnetError> {
        match &mut *self.lock() {
            State::Running { child, .. } => {
                signal_group(Pid::from_child(child), signal);
                Ok(())
            }
            State::NotStarted | State::Ended { .. } => {
                Err(DevnetError::NotRunning { name: self.spec.name.clone() })
            }
        }
    }

    /// Last lines it logged since it was last started.
    pub fn log_tail(&self) -> String {
        let start = match *self.lock() {
            State::Running { log_start, .. } | State::Ended { log_start, .. } => log_start,
            State::NotStarted => 0,
        };
        log_tail::since(&self.spec.log_file, start)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut state = self.lock();
        let State::Running { child, .. } = &mut *state else { return };
        signal_group(Pid::from_child(child), self.spec.drop_signal);
        let began = Instant::now();
        while began.elapsed() < DROP_GRACE {
            if !matches!(refresh(&mut state), Ok(true)) {
                return;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        if let State::Running { child, .. } = &mut *state {
            signal_group(Pid::from_child(child), Signal::KILL);
            watchdog::group_ended(Pid::from_child(child));
            child.wait().ok();
        }
    }
}

/// Takes notice of an end. Returns whether the process runs.
fn refresh(state: &mut State) -> Result<bool, DevnetError> {
    let State::Running { child, log_start } = state else { return Ok(false) };
    let failed = || DevnetError::io("waiting for a child process");
    let (group, log_start) = (Pid::from_child(child), *log_start);
    // Looks without reaping: until it is reaped, nobody else can get its number.
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if waitid(WaitId::Pid(group), look).map_err(|error| failed()(error.into()))?.is_none() {
        return Ok(true);
    }
    // What the process itself left running ends with it.
    signal_group(group, Signal::KILL);
    watchdog::group_ended(group);
    let status = child.wait().map_err(failed())?;
    *state = State::Ended { status, log_start };
    Ok(false)
}

/// An error means that the group is gone already: nothing to do.
fn signal_group(group: Pid, signal: Signal) {
    kill_process_group(group, signal).ok();
}
