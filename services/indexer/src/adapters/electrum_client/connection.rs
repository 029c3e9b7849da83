//! One connection: set up, checked, called, thrown away on the first doubt.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bitcoin::BlockHash;
use electrum_client::raw_client::RawClient;
use electrum_client::{ElectrumApi as _, Error, Param};
use serde_json::Value;

use super::answer;
use super::endpoint::Endpoint;
use super::transport::{Allowance, BoundedStream, Transport};
use crate::ports::SourceError;

/// A connection whose server has shown the right genesis hash.
pub(super) struct Connection {
    client: RawClient<Box<dyn Transport>>,
    allowance: Allowance,
}

impl Connection {
    /// Connects, negotiates the protocol version (which must be the first message) and compares the network.
    pub(super) fn open(
        endpoint: &Endpoint,
        genesis_hash: BlockHash,
        deadline: Instant,
    ) -> Result<Self, SourceError> {
        let unavailable = |error: io::Error| SourceError::Unavailable(format!("{endpoint}: {error}"));
        let allowance = Allowance::until(deadline);
        let stream = BoundedStream::connect(endpoint, allowance.clone()).map_err(unavailable)?;
        let transport: Box<dyn Transport> = if endpoint.tls {
            Box::new(tls(&endpoint.host, stream).map_err(unavailable)?)
        } else {
            Box::new(stream)
        };
        let connection = Self { client: RawClient::from(transport), allowance };
        guarded(|| connection.client.protocol_version())?;
        let features = connection.call("server.features", vec![], deadline)?;
        let found = answer::genesis_hash(&features)?;
        if found != genesis_hash {
            return Err(SourceError::WrongNetwork { expected: genesis_hash, found });
        }
        Ok(connection)
    }

    /// One call. After any error but `Refused` the connection must not be used again.
    pub(super) fn call(
        &self,
        method: &'static str,
        params: Vec<Param>,
        deadline: Instant,
    ) -> Result<Value, SourceError> {
        self.allowance.renew(deadline);
        guarded(|| {
            let answer = self.client.raw_call(method, params);
            // Header notifications are not used (the tip is asked for), and must not pile up.
            while self.client.block_headers_pop_raw()?.is_some() {}
            answer
        })
    }
}

fn tls(
    host: &str,
    stream: BoundedStream,
) -> io::Result<rustls::StreamOwned<rustls::ClientConnection, BoundedStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let session = rustls::ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(rustls::StreamOwned::new(session, stream))
}

/// Runs the crate's code. It indexes into what the server sends: a panic there is the server's doing.
fn guarded<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, SourceError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome.map_err(translate),
        Err(_) => Err(SourceError::Malformed("an answer the client library cannot take".to_owned())),
    }
}

fn translate(error: Error) -> SourceError {
    match error {
        Error::Protocol(reason) => SourceError::Refused(answer::reason(&reason)),
        Error::IOError(error) => SourceError::Unavailable(error.to_string()),
        Error::SharedIOError(error) => SourceError::Unavailable(error.to_string()),
        Error::AllAttemptsErrored(_) | Error::Mpsc | Error::CouldntLockReader => {
            SourceError::Unavailable(error.to_string())
        }
        other => SourceError::Malformed(other.to_string()),
    }
}
