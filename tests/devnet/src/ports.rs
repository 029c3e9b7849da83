//! Free TCP ports on 127.0.0.1.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::error::DevnetError;

/// Below Linux' range for outgoing connections (32768 and up): a connection that somebody opens while a server
/// is not yet up, or down for a restart, can never take its port. Asking the system for "port 0" gives such ports.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;
const ATTEMPTS: u32 = 1_000;

/// Numbers handed out in this process: two starts at the same moment must not be given the same one.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port reserved within this process until dropped. Other processes may still take it, so whoever
/// starts a server on it retries with another one on a clash.
#[derive(Debug)]
pub struct FreePort(u16);

impl FreePort {
    /// The number.
    pub const fn number(&self) -> u16 {
        self.0
    }

    /// `127.0.0.1:number`.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.0)
    }
}

impl Drop for FreePort {
    fn drop(&mut self) {
        taken().remove(&self.0);
    }
}

/// A port, chosen at random, on which nobody listens now.
///
/// # Errors
/// `Io` when the machine has none left.
pub fn free_port() -> Result<FreePort, DevnetError> {
    for _ in 0..ATTEMPTS {
        let mut random = [0; 2];
        getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error.to_string())))?;
        let number = FIRST + u16::from_le_bytes(random) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() && taken().insert(number) {
            return Ok(FreePort(number));
        }
    }
    Err(failed(std::io::ErrorKind::AddrInUse.into()))
}

fn failed(source: std::io::Error) -> DevnetError {
    DevnetError::io("finding a free port")(source)
}

fn taken() -> MutexGuard<'static, BTreeSet<u16>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{FreePort, free_port};

    #[test]
    fn ports_in_use_are_distinct() {
        let ports: Vec<_> = (0..500).map(|_| free_port().unwrap()).collect();
        let mut numbers: Vec<_> = ports.iter().map(FreePort::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 500);
    }

    #[test]
    fn a_port_somebody_listens_on_is_not_handed_out() {
        let port = free_port().unwrap();
        let _listener = std::net::TcpListener::bind(port.address()).unwrap();
        assert!(std::net::TcpListener::bind(port.address()).is_err());
    }
}
