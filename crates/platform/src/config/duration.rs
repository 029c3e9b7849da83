//! Durations in configuration: text with a unit, such as `250ms`, `60s`, `5m`.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serializer};

/// Reads `250ms`, `60s`, `5m`, `24h`. A bare number is refused: the unit must be said.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(serde::de::Error::custom)
}

/// Writes the same form.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}
