//! Typed access to the fields of a message; every error names the path and the line.

use std::time::Duration;

use super::tree::{Field, Message, Value};
use crate::domain::manifest::{ManifestError, key_error};

/// A message and where it stands.
pub(super) struct Fields<'a> {
    path: String,
    message: &'a Message,
}

impl<'a> Fields<'a> {
    pub fn new(path: impl Into<String>, message: &'a Message) -> Self {
        Self { path: path.into(), message }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// An error about a field, at the line where it first appears.
    pub fn error(&self, name: &str, message: impl Into<String>) -> ManifestError {
        let line = self.message.fields.iter().find(|field| field.name == name).map_or(0, |field| field.line);
        self.error_at(name, line, message)
    }

    fn error_at(&self, name: &str, line: usize, message: impl Into<String>) -> ManifestError {
        let message = message.into();
        let message = if line == 0 { message } else { format!("line {line}: {message}") };
        key_error(&self.key(name), message)
    }

    /// Refuses every field that is not `understood`: with a reason those `refused`, as unknown the rest.
    pub fn check(&self, understood: &[&str], refused: &[(&str, &str)]) -> Result<(), ManifestError> {
        let stranger = self.message.fields.iter().find(|field| !understood.contains(&field.name.as_str()));
        let Some(Field { name, line, .. }) = stranger else { return Ok(()) };
        let reason = refused.iter().find(|(refused, _)| refused == name).map(|(_, reason)| *reason);
        Err(self.error_at(name, *line, reason.unwrap_or("unknown field")))
    }

    fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a Field> + 's {
        self.message.fields.iter().filter(move |field| field.name == name)
    }

    fn one(&self, name: &str) -> Result<Option<&'a Value>, ManifestError> {
        let mut all = self.all(name);
        let first = all.next();
        match all.next() {
            Some(second) => Err(self.error_at(name, second.line, "is said twice")),
            None => Ok(first.map(|field| &field.value)),
        }
    }

    /// A string.
    pub fn text(&self, name: &str) -> Result<Option<String>, ManifestError> {
        match self.one(name)? {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.error(name, "must be a string")),
        }
    }

    /// A name of an enumeration; its number as text if the file says that.
    pub fn word(&self, name: &str) -> Result<Option<&'a str>, ManifestError> {
        match self.one(name)? {
            None => Ok(None),
            Some(Value::Word(word) | Value::Text(word)) => Ok(Some(word)),
            Some(Value::Message(_)) => Err(self.error(name, "must be a name")),
        }
    }

    /// A boolean; false if not said.
    pub fn flag(&self, name: &str) -> Result<bool, ManifestError> {
        match self.word(name)? {
            None | Some("false" | "False" | "f" | "0") => Ok(false),
            Some("true" | "True" | "t" | "1") => Ok(true),
            Some(_) => Err(self.error(name, "must be true or false")),
        }
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, ManifestError> {
        let Some(word) = self.word(name)? else { return Ok(None) };
        let number = integer(word).and_then(|number| usize::try_from(number).ok());
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(name, format!("must be a number in {least}..={most}"))),
        }
    }

    /// As [`Self::number`], for a field of 32 bits.
    pub fn small_number(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, ManifestError> {
        let wide = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let number = self.number(name, wide(least), wide(most))?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    /// Microseconds, up to `most`; none if not said or 0.
    pub fn microseconds(&self, name: &str, most: Duration) -> Result<Option<Duration>, ManifestError> {
        let most = usize::try_from(most.as_micros()).unwrap_or(usize::MAX);
        let number = self.number(name, 0, most)?.unwrap_or(0);
        Ok((number > 0).then(|| Duration::from_micros(u64::try_from(number).unwrap_or(u64::MAX))))
    }

    /// Every whole number of a repeated field.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>, ManifestError> {
        self.all(name)
            .map(|field| {
                let number = match &field.value {
                    Value::Word(word) | Value::Text(word) => integer(word),
                    Value::Message(_) => None,
                };
                number.ok_or_else(|| self.error_at(name, field.line, "must be a list of whole numbers"))
            })
            .collect()
    }

    /// A message.
    pub fn message(&self, name: &str) -> Result<Option<Fields<'a>>, ManifestError> {
        match self.one(name)? {
            None => Ok(None),
            Some(Value::Message(message)) => Ok(Some(Fields::new(self.key(name), message))),
            Some(_) => Err(self.error(name, "must be a message in braces")),
        }
    }

    /// Every message of a repeated field.
    pub fn messages(&self, name: &str) -> Result<Vec<Fields<'a>>, ManifestError> {
        self.all(name)
            .enumerate()
            .map(|(index, field)| match &field.value {
                Value::Message(message) => Ok(Fields::new(format!("{}[{index}]", self.key(name)), message)),
                _ => Err(self.error_at(name, field.line, "must be a message in braces")),
            })
            .collect()
    }

    /// The entries of a map, keys unique.
    pub fn map(&self, name: &str) -> Result<Vec<(String, Fields<'a>)>, ManifestError> {
        let mut entries: Vec<(String, Fields<'a>)> = Vec::new();
        for entry in self.messages(name)? {
            entry.check(&["key", "value"], &[])?;
            let key = entry.text("key")?.ok_or_else(|| entry.error("key", "is missing"))?;
            let mut value = entry.message("value")?.ok_or_else(|| entry.error("value", "is missing"))?;
            value.path = format!("{}.{key}", self.key(name));
            if entries.iter().any(|(earlier, _)| *earlier == key) {
                return Err(key_error(&value.path, "is said twice"));
            }
            entries.push((key, value));
        }
        Ok(entries)
    }
}

/// Refuses every field but those `understood`, all for one reason.
pub(super) fn refuse_fields(
    fields: &Fields<'_>,
    understood: &[&str],
    reason: &str,
) -> Result<(), ManifestError> {
    match fields.message.fields.iter().find(|field| !understood.contains(&field.name.as_str())) {
        Some(field) => Err(fields.error_at(&field.name, field.line, reason)),
        None => Ok(()),
    }
}

/// Decimal, hexadecimal or octal, as protobuf writes them.
fn integer(word: &str) -> Option<i64> {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    let magnitude = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        unsigned(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        unsigned(digits, 8)
    } else {
        unsigned(digits, 10)
    }?;
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

fn unsigned(digits: &str, radix: u32) -> Option<u64> {
    // The library's reader would take a sign.
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}
