//! How to reach the database.

use std::{str::FromStr, time::Duration};

use ailayer_platform::config::{ConfigError, Secret};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::error::StoreError;

/// Table `store` of a service's configuration. All services of an environment name the same database.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// `postgres://user:password@host:port/database`. Secret for its password.
    pub url: Secret<String>,
    /// Connections of one process at most. Add up over processes and stay below the server's own limit.
    #[serde(default = "default_max_connections")]
    pub max_connections: u32,
    /// How long a caller waits for a connection, a server that is down included, before it gets
    /// [`StoreError::Unavailable`].
    #[serde(default = "default_acquire_timeout", with = "ailayer_platform::config::duration")]
    pub acquire_timeout: Duration,
    /// How long a starting service tries to reach the server: where all of a machine starts at once, that takes
    /// longer than one call may wait.
    #[serde(default = "default_startup_timeout", with = "ailayer_platform::config::duration")]
    pub startup_timeout: Duration,
    /// The server cancels a statement that takes longer; half of it is the longest wait for a lock.
    #[serde(default = "default_statement_timeout", with = "ailayer_platform::config::duration")]
    pub statement_timeout: Duration,
}

const fn default_max_connections() -> u32 {
    10
}

const fn default_acquire_timeout() -> Duration {
    Duration::from_secs(5)
}

const fn default_startup_timeout() -> Duration {
    Duration::from_secs(30)
}

const fn default_statement_timeout() -> Duration {
    Duration::from_secs(10)
}

impl StoreConfig {
    /// The database at `url` with default limits.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url.into()),
            max_connections: default_max_connections(),
            acquire_timeout: default_acquire_timeout(),
            startup_timeout: default_startup_timeout(),
            statement_timeout: default_statement_timeout(),
        }
    }

    /// Checks the values; `key` is the path of this table, such as `gateway.store`.
    ///
    /// # Errors
    /// Names the key and what is wrong with it; never shows the URL.
    pub fn validate(&self, key: &str) -> Result<(), ConfigError> {
        let invalid = |name: &str, why: &str| ConfigError::invalid(format!("{key}.{name}"), why);
        if !["postgres://", "postgresql://"].iter().any(|scheme| self.url.expose().starts_with(scheme)) {
            return Err(invalid("url", "must start with postgres://"));
        }
        if self.connect_options().is_err() {
            return Err(invalid("url", "must look like postgres://user:password@host:port/database"));
        }
        if self.max_connections == 0 {
            return Err(invalid("max_connections", "must be at least 1"));
        }
        if self.acquire_timeout.is_zero() {
            return Err(invalid("acquire_timeout", "must be longer than zero"));
        }
        if self.startup_timeout.is_zero() {
            return Err(invalid("startup_timeout", "must be longer than zero"));
        }
        if self.statement_timeout < Duration::from_millis(2) {
            return Err(invalid("statement_timeout", "must be at least 2ms"));
        }
        Ok(())
    }

    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, StoreError> {
        // The parser's words may quote the URL, and with it the password.
        PgConnectOptions::from_str(self.url.expose())
            .map_err(|_| StoreError::InvalidConfig("the database url is malformed".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::StoreConfig;

    #[test]
    fn errors_name_the_key_and_hide_the_url() {
        let sound = StoreConfig::new("postgres://user:hunter2@127.0.0.1:5432/ailayer");
        sound.validate("gateway.store").unwrap();

        for (broken, key) in [
            (StoreConfig::new("mysql://user:hunter2@localhost/x"), "gateway.store.url"),
            (StoreConfig::new("postgres://user:hunter2@host:port/x"), "gateway.store.url"),
            (StoreConfig { max_connections: 0, ..sound.clone() }, "gateway.store.max_connections"),
            (
                StoreConfig { acquire_timeout: std::time::Duration::ZERO, ..sound.clone() },
                "gateway.store.acquire_timeout",
            ),
            (
                StoreConfig { startup_timeout: std::time::Duration::ZERO, ..sound },
                "gateway.store.startup_timeout",
            ),
        ] {
            let text = broken.validate("gateway.store").unwrap_err().to_string();
            assert!(text.contains(key) && !text.contains("hunter2"), "{text}");
            assert!(!format!("{broken:?}").contains("hunter2"));
        }
    }
}
