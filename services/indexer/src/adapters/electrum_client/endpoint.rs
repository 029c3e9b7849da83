//! `tcp://host:port` and `ssl://host:port`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where an Electrum server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is TLS, with the server's certificate checked against the public roots.
    pub tls: bool,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text that is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be tcp://HOST:PORT or ssl://HOST:PORT")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (tls, address) = match text.split_once("://") {
            Some(("tcp", address)) => (false, address),
            Some(("ssl", address)) => (true, address),
            _ => return Err(EndpointError),
        };
        let (host, port) = address.rsplit_once(':').ok_or(EndpointError)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let well_formed = |character: char| !character.is_whitespace() && !"/@?#[]".contains(character);
        if host.is_empty() || !host.chars().all(well_formed) || (bracketed.is_none() && host.contains(':')) {
            return Err(EndpointError);
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(EndpointError)?;
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "ssl" } else { "tcp" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_round_trip_and_others_are_refused() {
        for text in ["tcp://127.0.0.1:50001", "ssl://electrum.example:50002", "tcp://[::1]:1"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "127.0.0.1:1",
            "http://a:1",
            "tcp://a",
            "tcp://:1",
            "tcp://a:0",
            "tcp://a:65536",
            "tcp://::1:5",
            "tcp://user@a:1",
            "tcp://a/b:1",
            "tcp://a b:1",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text}");
        }
    }
}
