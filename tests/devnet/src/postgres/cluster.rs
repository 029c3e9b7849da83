//! Making a cluster's folder, once.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt, chown},
    path::Path,
    time::Duration,
};

use crate::{
    error::DevnetError,
    postgres::random_hex,
    process::{Account, Process, ProcessSpec},
};

const INITDB_TIMEOUT: Duration = Duration::from_secs(60);

/// Durability as in production, size as on a laptop. `fsync` stays on: what survives a crash is tested.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 32MB
max_wal_size = 256MB
wal_level = minimal
max_wal_senders = 0
jit = off
log_lock_waits = on
timezone = 'UTC'
log_timezone = 'UTC'
# In the cluster's folder, so that a killed server leaves nothing in /dev/shm.
dynamic_shared_memory_type = mmap
";

/// Makes a cluster below `folder` unless there is one. Returns the superuser's password.
pub(super) async fn create(
    bin: &Path,
    folder: &Path,
    log_file: &Path,
    user: &str,
    account: Option<Account>,
) -> Result<String, DevnetError> {
    let password_file = folder.join("password");
    let data = folder.join("data");
    if data.join("PG_VERSION").exists() {
        let password = fs::read_to_string(&password_file);
        return password.map_err(DevnetError::io(format!("reading {}", password_file.display())));
    }
    let password = random_hex::<16>()?;
    write_private(&password_file, &password)?;
    if let Some(account) = account {
        for path in [folder, &password_file] {
            chown(path, Some(account.uid), Some(account.gid))
                .map_err(DevnetError::io(format!("handing {} to another user", path.display())))?;
        }
    }
    // The password travels in plain text over loopback, which costs nothing; it keeps other users of the machine out.
    let mut spec = ProcessSpec::new("initdb", bin.join("initdb"), log_file)
        .args(["--username", user, "--auth", "password", "--encoding", "UTF8", "--locale", "C"])
        .args(["--no-sync", "--no-instructions", "--pwfile"])
        .arg(&password_file)
        .arg("--pgdata")
        .arg(&data);
    spec.account = account;
    spec.working_dir = Some(folder.to_owned());
    let initdb = Process::new(spec);
    initdb.start()?;
    if !initdb.wait_for_exit(INITDB_TIMEOUT).await?.success() {
        initdb.check_running()?;
    }
    let conf = data.join("postgresql.auto.conf");
    fs::write(&conf, SETTINGS).map_err(DevnetError::io(format!("writing {}", conf.display())))?;
    Ok(password)
}

fn write_private(path: &Path, text: &str) -> Result<(), DevnetError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(DevnetError::io(format!("writing {}", path.display())))
}
