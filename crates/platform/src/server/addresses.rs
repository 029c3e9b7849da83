//! Tells whoever started this process with port 0 where it listens.

use std::net::SocketAddr;
use std::{env, fs, io, path::PathBuf};

/// The environment variable that names the file.
const VARIABLE: &str = "AILAYER_ADDRESS_FILE";

/// Writes `{"grpc": "...", "admin": "..."}`, complete or not at all.
pub fn publish(grpc: SocketAddr, admin: SocketAddr) -> io::Result<()> {
    let Some(path) = env::var_os(VARIABLE).map(PathBuf::from) else {
        return Ok(());
    };
    let draft = path.with_extension("draft");
    fs::write(&draft, format!("{{\"grpc\": \"{grpc}\", \"admin\": \"{admin}\"}}\n"))?;
    fs::rename(&draft, &path)
}
