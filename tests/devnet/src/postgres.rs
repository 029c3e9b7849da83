//! A private PostgreSQL cluster: own folder, own port on 127.0.0.1, no socket file, no system service.

mod cluster;

use std::{path::PathBuf, time::Duration};

use sqlx::{ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use crate::{
    data_dir::DataDir,
    error::DevnetError,
    ports::{FreePort, free_port},
    process::{Account, Process, ProcessSpec, Signal},
    toolbox::{Tool, Toolbox},
};

const USER: &str = "ailayer";
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const START_ATTEMPTS: u32 = 3;

static SHARED: tokio::sync::OnceCell<Postgres> = tokio::sync::OnceCell::const_new();

/// A running cluster whose commits are durable (`fsync` is on). Ends with the handle.
#[derive(Debug)]
pub struct Postgres {
    // Before the folder: fields drop in this order, and the server writes into it until it has ended.
    process: Process,
    port: FreePort,
    password: String,
    data_dir: DataDir,
}

impl Postgres {
    /// Starts a cluster in a temporary folder.
    ///
    /// # Errors
    /// A missing tool, or a server that does not start.
    pub async fn start() -> Result<Self, DevnetError> {
        Self::start_in(&DataDir::temporary()?, &Toolbox::discover()).await
    }

    /// Starts a cluster in `data_dir`, continuing with its data if there are any.
    ///
    /// # Errors
    /// A missing tool, or a server that does not start.
    pub async fn start_in(data_dir: &DataDir, toolbox: &Toolbox) -> Result<Self, DevnetError> {
        let bin = toolbox.path_of(Tool::PostgresBin)?;
        let account = Account::unprivileged()?;
        let folder = data_dir.subfolder("postgres")?;
        let password = cluster::create(&bin, &folder, &data_dir.log_file("initdb"), USER, account).await?;
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            let mut spec = ProcessSpec::new("postgres", bin.join("postgres"), data_dir.log_file("postgres"))
                .arg("-D")
                .arg(folder.join("data"))
                .args(["-p", &port.number().to_string()]);
            spec.account = account;
            spec.working_dir = Some(folder.clone());
            // "Fast" shutdown: does not wait for clients to leave.
            spec.stop_signal = Signal::INT;
            // "Immediate" shutdown: like a crash for the data, but leaves no shared memory behind.
            spec.drop_signal = Signal::QUIT;
            let (process, password) = (Process::new(spec), password.clone());
            let this = Self { process, port, password, data_dir: data_dir.clone() };
            match this.run().await {
                Err(error) if attempt < START_ATTEMPTS && error.is_port_clash() => attempt += 1,
                result => return result.map(|()| this),
            }
        }
    }

    /// The one cluster of this process, started by the first call; for tests, each with its own database.
    /// Do not stop or kill it: use [`Postgres::start`] for that.
    ///
    /// # Errors
    /// A missing tool, or a server that does not start; the next call tries again.
    pub async fn shared() -> Result<SharedPostgres, DevnetError> {
        let start =
            || async { Self::start_in(&DataDir::temporary_for_static()?, &Toolbox::discover()).await };
        SHARED.get_or_try_init(start).await.map(SharedPostgres)
    }

    /// Makes an empty database and returns its URL, `postgres://user:password@127.0.0.1:port/name`.
    ///
    /// # Errors
    /// `Database` when the server refuses or is down.
    pub async fn create_database(&self) -> Result<String, DevnetError> {
        let name = format!("db_{}", random_hex::<8>()?);
        self.create_database_named(&name).await
    }

    /// Makes an empty database of that name, unless it exists, and returns its URL.
    /// The name consists of lower case letters, digits and underscores.
    ///
    /// # Errors
    /// `Database` when the server refuses or is down.
    pub async fn create_database_named(&self, name: &str) -> Result<String, DevnetError> {
        let failed = |source| DevnetError::Database { what: "creating a database", source };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(failed(sqlx::Error::InvalidArgument(format!("{name:?} is no database name"))));
        }
        let mut connection = self.admin_connection().await.map_err(failed)?;
        let query = sqlx::query_scalar::<_, i32>("select 1 from pg_database where datname = $1").bind(name);
        if query.fetch_optional(&mut connection).await.map_err(failed)?.is_none() {
            let create = sqlx::AssertSqlSafe(format!("create database {name}"));
            connection.execute(create).await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)?;
        Ok(self.url(name))
    }

    /// URL of a database of that name, whether it exists or not.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port())
    }

    /// Port on 127.0.0.1; stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The server process, to signal or watch it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The folder it writes to.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Path of the server's log.
    pub fn log_file(&self) -> PathBuf {
        self.process.spec().log_file.clone()
    }

    /// Ends it in good order, cutting off its clients.
    ///
    /// # Errors
    /// `Io` when its end cannot be observed.
    pub async fn stop(&self) -> Result<(), DevnetError> {
        self.process.stop().await
    }

    /// Kills the server as a power cut would. Its helper processes end by themselves a moment later.
    ///
    /// # Errors
    /// `Io` when its end cannot be observed.
    pub async fn kill9(&self) -> Result<(), DevnetError> {
        self.process.kill9().await
    }

    /// Starts it again on the same port, after a stop or a kill, and waits until it answers.
    ///
    /// # Errors
    /// A server that does not start.
    pub async fn restart(&self) -> Result<(), DevnetError> {
        self.process.stop().await?;
        let mut attempt = 0;
        loop {
            match self.run().await {
                // Helper processes of a killed server need a moment to notice, and keep the folder locked until then.
                Err(DevnetError::Exited { .. }) if attempt < 20 => attempt += 1,
                result => return result,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn run(&self) -> Result<(), DevnetError> {
        self.process.start()?;
        let probe = || async {
            let connection = self.admin_connection().await.map_err(|error| error.to_string())?;
            connection.close().await.map_err(|error| error.to_string())
        };
        self.process.wait_until_ready(READY_TIMEOUT, probe).await
    }

    async fn admin_connection(&self) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port());
        options.username(USER).password(&self.password).database("postgres").connect().await
    }
}

/// The cluster that all tests of a process share. Keeps its logs when a test that holds it panics.
#[derive(Debug)]
pub struct SharedPostgres(&'static Postgres);

impl std::ops::Deref for SharedPostgres {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        self.0
    }
}

impl Drop for SharedPostgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.data_dir.keep();
        }
    }
}

/// `N` random bytes as hexadecimal digits.
pub(crate) fn random_hex<const N: usize>() -> Result<String, DevnetError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| DevnetError::io("drawing random bytes")(std::io::Error::other(error.to_string())))?;
    Ok(hex::encode(bytes))
}
