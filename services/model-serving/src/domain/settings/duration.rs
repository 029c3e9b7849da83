//! Durations as people write them: `"2ms"`.

use std::time::Duration;

/// Reads a whole number with a unit of `us`, `ms`, `s` or `min`; `"0"` needs none.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "must be a whole number with a unit of us, ms, s or min, as in \"2ms\"";
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).ok_or(SHAPE)?;
    if number.is_empty() {
        return Err(SHAPE);
    }
    let microseconds_per_unit: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "min" => 60_000_000,
        "" if number == "0" => 0,
        _ => return Err(SHAPE),
    };
    let number: u64 = number.parse().map_err(|_| "is too long")?;
    number.checked_mul(microseconds_per_unit).map(Duration::from_micros).ok_or("is too long")
}
