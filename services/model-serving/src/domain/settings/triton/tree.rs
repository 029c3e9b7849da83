//! A message before its fields have types: what both forms are read into.

/// A message; repeated fields appear once an element, maps as messages of `key` and `value`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Message {
    pub fields: Vec<Field>,
}

/// One appearance of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub name: String,
    /// From 1; 0 in JSON, where errors name the path only.
    pub line: usize,
    pub value: Value,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Message(Message),
    /// A number, a name of an enumeration, `true`, `false`.
    Word(String),
    /// A quoted string; in JSON also 64-bit numbers and names of enumerations.
    Text(String),
}
