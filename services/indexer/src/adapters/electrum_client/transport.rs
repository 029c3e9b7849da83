//! A TCP stream on which one call may only take so long and read so much.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;

/// The most bytes one answer may have: a 4 MB transaction in hex, or a history of 100,000 lines, fits.
const MAX_ANSWER_BYTES: usize = 12 * 1024 * 1024;

/// Anything the protocol can be spoken over.
pub(super) trait Transport: Read + Write + Send {}
impl<T: Read + Write + Send> Transport for T {}

/// What the call under way may still use. Shared with the connection, which renews it for each call.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<Mutex<Remaining>>);

#[derive(Debug)]
struct Remaining {
    deadline: Instant,
    bytes: usize,
}

impl Allowance {
    pub(super) fn until(deadline: Instant) -> Self {
        Self(Arc::new(Mutex::new(Remaining { deadline, bytes: MAX_ANSWER_BYTES })))
    }

    /// Starts the next call's allowance.
    pub(super) fn renew(&self, deadline: Instant) {
        *self.lock() = Remaining { deadline, bytes: MAX_ANSWER_BYTES };
    }

    fn time_left(&self) -> io::Result<Duration> {
        let left = self.lock().deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    }

    fn use_bytes(&self, count: usize) -> io::Result<()> {
        let mut remaining = self.lock();
        remaining.bytes = remaining
            .bytes
            .checked_sub(count)
            .ok_or_else(|| io::Error::other("answer is longer than any honest one"))?;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remaining> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bounded stream. A server that drips bytes meets the same deadline as one that is silent.
pub(super) struct BoundedStream {
    stream: TcpStream,
    allowance: Allowance,
}

impl BoundedStream {
    /// Connects to the first of the endpoint's addresses that accepts.
    pub(super) fn connect(endpoint: &Endpoint, allowance: Allowance) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, allowance.time_left()?) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self { stream, allowance });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Read for BoundedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.allowance.time_left()?))?;
        let count = self.stream.read(buffer)?;
        self.allowance.use_bytes(count)?;
        Ok(count)
    }
}

impl Write for BoundedStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.allowance.time_left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
