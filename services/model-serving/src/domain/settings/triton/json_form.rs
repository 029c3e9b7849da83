//! Protobuf's JSON form (protobuf.dev/programming-guides/json): names in either case, 64-bit numbers as strings.

use serde_json::Value as Json;

use super::tree::{Field, Message, Value};
use crate::domain::manifest::ManifestError;

/// The fields of `ModelConfig` and its parts that are maps: an object there is not a message.
const MAPS: [&str; 5] =
    ["parameters", "inputs", "metric_tags", "cc_model_filenames", "priority_queue_policy"];

/// Reads a message in JSON.
pub(super) fn parse(text: &str) -> Result<Message, ManifestError> {
    // The JSON reader bounds the nesting itself.
    let json: Json =
        serde_json::from_str(text).map_err(|error| syntax_error(error.line(), error.to_string()))?;
    match json {
        Json::Object(object) => Ok(message(object)),
        _ => Err(syntax_error(1, "expected an object")),
    }
}

fn syntax_error(line: usize, message: impl Into<String>) -> ManifestError {
    ManifestError::Syntax { file: "", line, message: message.into() }
}

fn message(object: serde_json::Map<String, Json>) -> Message {
    let mut message = Message::default();
    for (name, json) in object {
        let name = snake_case(&name);
        match json {
            Json::Array(elements) => {
                elements.into_iter().for_each(|element| push(&mut message, &name, element));
            }
            Json::Object(entries) if MAPS.contains(&name.as_str()) => {
                for (key, json) in entries {
                    let mut entry = Message::default();
                    push(&mut entry, "key", Json::String(key));
                    push(&mut entry, "value", json);
                    message.fields.push(Field { name: name.clone(), line: 0, value: Value::Message(entry) });
                }
            }
            other => push(&mut message, &name, other),
        }
    }
    message
}

fn push(into: &mut Message, name: &str, json: Json) {
    let value = match json {
        // Null is a field that is not said.
        Json::Null => return,
        Json::Object(object) => Value::Message(message(object)),
        Json::String(text) => Value::Text(text),
        // An array in an array means nothing in protobuf; as a word it is refused by whatever reads it.
        other => Value::Word(other.to_string()),
    };
    into.fields.push(Field { name: name.to_owned(), line: 0, value });
}

/// `maxBatchSize` and `max_batch_size` are the same field.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
