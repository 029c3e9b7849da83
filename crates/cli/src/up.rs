//! `ailayer up`: one process a service on this machine, restarted when it fails.
//!
//! A crash in one service, an inference engine say, never takes the Lightning node with it: that is
//! why these are processes and not tasks. The topology is the same as on Kubernetes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ailayer_devnet::{
    AilayerBinary, DataDir, NetworkOptions, Operator, Plan, Process, ProcessSpec, ServiceProcess, Toolbox,
};
use ailayer_platform::tasks::Shutdown;
use serde_json::json;

use crate::args::UpArgs;
use crate::exit::{Exit, Failure, internal};
use crate::output::Output;

/// The services in the order in which they start; they stop in the reverse order.
const SERVICES: [&str; 5] = ["indexer", "audit", "model-serving", "payment", "gateway"];
/// The pause before a failed service is started again; doubles with every failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A service that ran this long before it failed starts over with the first pause.
const STEADY: Duration = Duration::from_secs(60);
/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Supervises until SIGINT or SIGTERM.
pub async fn run(args: UpArgs, out: &Output) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals().map_err(internal)?;
    let data_dir = match &args.data_dir {
        Some(path) => DataDir::at(path)?,
        None => DataDir::temporary()?,
    };
    if args.devnet {
        return devnet(data_dir, &shutdown, out).await;
    }
    let config = args.config.ok_or_else(|| Failure::new(Exit::Configuration, "--config FILE is needed"))?;
    if !config.is_file() {
        return Err(Failure::new(Exit::Configuration, format_args!("{} is not a file", config.display())));
    }
    configured(&config, &data_dir, &shutdown, out).await
}

/// Services, databases and chain on a private network; prints how to reach them.
async fn devnet(data_dir: DataDir, shutdown: &Shutdown, out: &Output) -> Result<(), Failure> {
    let binary = AilayerBinary::current()?;
    let toolbox = Toolbox::discover();
    let started = async {
        let plan =
            Plan::prepare(data_dir, &toolbox, &NetworkOptions::default(), &|news| out.progress(news)).await?;
        let network = plan.launch(&binary, |news| out.progress(news)).await?;
        Ok::<_, Failure>(network)
    };
    let network = tokio::select! {
        network = started => network?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let addresses: Vec<(String, String)> =
        network.services().iter().map(|service| (service.name().to_owned(), service.grpc_url())).collect();
    let bitcoind = &network.backbone.bitcoind;
    let text = addresses.iter().fold(
        format!(
            "data and logs  {}\nbitcoind RPC   {} user {} password {}",
            network.backbone.data_dir.path().display(),
            bitcoind.rpc_url(),
            bitcoind.rpc_user(),
            bitcoind.rpc_password(),
        ),
        |text, (name, url)| format!("{text}\n{name:<14} {url}"),
    );
    let program = std::env::current_exe().map_err(internal)?;
    let text = format!("{text}\n\n{}", look_around(&program, &addresses, &network.operators));
    let value = json!({
        "data_dir": network.backbone.data_dir.path(),
        "bitcoind": { "rpc": bitcoind.rpc_url(), "user": bitcoind.rpc_user(), "password": bitcoind.rpc_password() },
        "operators": network.operators.iter().map(|it| (it.name, it.key.as_str())).collect::<std::collections::BTreeMap<_, _>>(),
        "services": addresses.iter().map(|(name, url)| (name.clone(), url.clone())).collect::<std::collections::BTreeMap<_, _>>(),
    });
    out.result(&value, format_args!("{text}\nrunning; Ctrl-C ends everything"));
    {
        let mut supervised: Vec<Supervised<&ServiceProcess>> =
            network.services().into_iter().map(Supervised::new).collect();
        while !shutdown.is_cancelled() {
            for service in &mut supervised {
                service.look(
                    |it| it.process().is_running(),
                    |it| it.launch(None).map_err(Failure::from),
                    out,
                );
            }
            pause(shutdown).await;
        }
    }
    out.progress("stopping");
    network.stop().await?;
    Ok(())
}

/// Services on a configuration of the operator's.
async fn configured(
    config: &Path,
    data_dir: &DataDir,
    shutdown: &Shutdown,
    out: &Output,
) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(internal)?;
    let process = |name: &str| {
        let spec = ProcessSpec::new(name, &program, data_dir.log_file(name))
            .args(["serve", name])
            .arg("--config")
            .arg(config)
            .env("AILAYER_ADDRESS_FILE", address_file(data_dir, name));
        Process::new(spec)
    };
    let processes: Vec<Process> = SERVICES.into_iter().map(process).collect();
    for process in &processes {
        process.start()?;
    }
    out.progress(format_args!("started {}; logs in {}", SERVICES.join(", "), data_dir.logs().display()));
    let mut supervised: Vec<Supervised<&Process>> = processes.iter().map(Supervised::new).collect();
    while !shutdown.is_cancelled() {
        for process in &mut supervised {
            process.look(|it| it.is_running(), |it| it.start().map_err(Failure::from), out);
        }
        pause(shutdown).await;
    }
    out.progress("stopping");
    // One that does not end in order does not keep the others from it.
    let mut failed = None;
    for process in processes.iter().rev() {
        if let Err(error) = process.stop().await {
            out.progress(&error);
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// What to type in another terminal: the variables that `ailayer` reads, and where it is.
fn look_around(program: &Path, addresses: &[(String, String)], operators: &[Operator]) -> String {
    let variables = [
        ("gateway", "AILAYER_GATEWAY"),
        ("payment", "AILAYER_PAYMENT"),
        ("model-serving", "AILAYER_SERVING"),
        ("indexer", "AILAYER_INDEXER"),
        ("audit", "AILAYER_AUDIT"),
    ];
    let mut lines = vec!["to look around from another terminal:".to_owned()];
    for (service, variable) in variables {
        let url = addresses.iter().find(|(name, _)| name == service).map(|(_, url)| url);
        lines.extend(url.map(|url| format!("  export {variable}={url}")));
    }
    lines.push(format!("  alias ailayer={}", program.display()));
    lines.push("  ailayer status; ailayer model list".to_owned());
    lines.push("to operate it, as one of two:".to_owned());
    lines.extend(
        operators.iter().map(|it| format!("  export AILAYER_OPERATOR_KEY={}  # {}", it.key, it.name)),
    );
    lines.push("  ailayer account open NAME; ailayer key new ACCOUNT --name NAME; ailayer price list; ailayer reconcile".to_owned());
    lines.join("\n")
}

fn address_file(data_dir: &DataDir, name: &str) -> PathBuf {
    data_dir.path().join(format!("{name}.addresses.json"))
}

async fn pause(shutdown: &Shutdown) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(LOOK) => {}
    }
}

/// A process that is watched, and when it may be started again.
struct Supervised<P> {
    process: P,
    started: Instant,
    restart_at: Option<Instant>,
    pause: Duration,
}

/// What a supervisor can see of a process.
trait Named {
    fn name(&self) -> &str;
}

impl Named for &Process {
    fn name(&self) -> &str {
        Process::name(self)
    }
}

impl Named for &ServiceProcess {
    fn name(&self) -> &str {
        ServiceProcess::name(self)
    }
}

impl<P: Named> Supervised<P> {
    fn new(process: P) -> Self {
        Self { process, started: Instant::now(), restart_at: None, pause: FIRST_PAUSE }
    }

    /// Starts the process again once its pause is over. A start that fails is one more failure, and waits its turn.
    fn look(
        &mut self,
        is_running: impl Fn(&P) -> bool,
        start: impl Fn(&P) -> Result<(), Failure>,
        out: &Output,
    ) {
        if is_running(&self.process) {
            return;
        }
        match self.restart_at {
            None => {
                if self.started.elapsed() >= STEADY {
                    self.pause = FIRST_PAUSE;
                }
                self.retry_later("ended", out);
            }
            Some(at) if Instant::now() >= at => match start(&self.process) {
                Ok(()) => (self.started, self.restart_at) = (Instant::now(), None),
                Err(failure) => self.retry_later(&failure.message, out),
            },
            Some(_) => {}
        }
    }

    fn retry_later(&mut self, what: &str, out: &Output) {
        out.progress(format_args!("{}: {what}; starting it again in {:?}", self.process.name(), self.pause));
        self.restart_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
