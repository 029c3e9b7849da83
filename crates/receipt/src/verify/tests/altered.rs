//! Every value of a bundle is altered in turn; none may pass, and the message must name the altered part.

use serde_json::Value;

use crate::Trust;
use crate::testing::Fixture;
use crate::verify::verify_json;

/// One step into a JSON value.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

type Path = Vec<Step>;

/// Paths of all values, the whole excluded.
fn paths(value: &Value, at: &Path, found: &mut Vec<Path>) {
    let children: Vec<(Step, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, child)| (Step::Key(key.clone()), child)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, child)| (Step::Index(index), child)).collect()
        }
        _ => Vec::new(),
    };
    for (step, child) in children {
        let path = [at.as_slice(), &[step]].concat();
        found.push(path.clone());
        paths(child, &path, found);
    }
}

fn get<'v>(root: &'v mut Value, path: &[Step]) -> &'v mut Value {
    path.iter().fold(root, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Index(index) => &mut value[*index],
    })
}

/// All single alterations of the value at the path, as whole bundles with a word for what was done.
fn alterations(bundle: &Value, path: &Path) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut add = |what: String, alter: &dyn Fn(&mut Value)| {
        let mut altered = bundle.clone();
        alter(get(&mut altered, path));
        all.push((what, altered));
    };
    match get(&mut bundle.clone(), path) {
        Value::String(text) => {
            for (at, character) in text.char_indices() {
                for other in replacements(character) {
                    let replaced = replace(text, at, character, &other);
                    add(format!("{character:?} at {at} becomes {other:?}"), &|value| {
                        *value = replaced.clone().into()
                    });
                }
            }
            for text in
                [format!("{text} "), format!(" {text}"), String::new(), text.repeat(2), format!("{text}\n")]
            {
                add(format!("becomes {text:?}"), &|value| *value = text.clone().into());
            }
            add("becomes a number".into(), &|value| *value = 1.into());
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            let others = [
                number + 1,
                number.wrapping_sub(1),
                number ^ 2,
                number + 256,
                u64::from(u32::MAX),
                u64::MAX,
                0,
            ];
            for other in others.into_iter().filter(|other| *other != number) {
                add(format!("{number} becomes {other}"), &|value| *value = other.into());
            }
            add("becomes a fraction".into(), &|value| *value = 0.5.into());
            add("becomes a text".into(), &|value| *value = number.to_string().into());
        }
        Value::Array(list) => {
            for index in 0..list.len() {
                add(format!("[{index}] is dropped"), &|value| {
                    drop(value.as_array_mut().unwrap().remove(index))
                });
                let double = |value: &mut Value| {
                    let element = value[index].clone();
                    value.as_array_mut().unwrap().insert(index, element);
                };
                add(format!("[{index}] is doubled"), &double);
                if index > 0 {
                    let swap = |value: &mut Value| value.as_array_mut().unwrap().swap(index - 1, index);
                    add(format!("[{index}] is swapped"), &swap);
                }
            }
            add("is emptied".into(), &|value| *value = Value::Array(Vec::new()));
        }
        Value::Object(_) => add("gets an unknown field".into(), &|value| value["unknown"] = 1.into()),
        _ => {}
    }
    all
}

/// Other characters for one: a neighbour, the other case, something foreign.
fn replacements(character: char) -> Vec<String> {
    let neighbour = char::from_u32(u32::from(character) ^ 1).unwrap();
    let other_case = if character.is_ascii_lowercase() {
        character.to_ascii_uppercase()
    } else {
        character.to_ascii_lowercase()
    };
    let all = [neighbour.to_string(), other_case.to_string(), "*".to_owned(), String::new()];
    all.into_iter().filter(|other| *other != character.to_string()).collect()
}

fn replace(text: &str, at: usize, character: char, with: &str) -> String {
    format!("{}{with}{}", &text[..at], &text[at + character.len_utf8()..])
}

/// Key removals and swaps of siblings of the same kind, at every object of the bundle.
fn removals_and_swaps(bundle: &Value, path: &Path) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    let Value::Object(map) = get(&mut bundle.clone(), path).clone() else { return all };
    let keys: Vec<&String> = map.keys().collect();
    for (position, key) in keys.iter().enumerate() {
        let mut removed = bundle.clone();
        get(&mut removed, path).as_object_mut().unwrap().remove(*key);
        all.push(((*key).clone(), format!("{key} is removed"), removed));
        for other in &keys[position + 1..] {
            let (one, two) = (map[*key].clone(), map[*other].clone());
            if one == two {
                continue;
            }
            let mut swapped = bundle.clone();
            get(&mut swapped, path)[key.as_str()] = two;
            get(&mut swapped, path)[other.as_str()] = one;
            all.push((format!("{key}|{other}"), format!("{key} and {other} are swapped"), swapped));
        }
    }
    all
}

/// Words of which the message must hold at least one, by the top-level key that was altered.
fn area(key: &str) -> &'static [&'static str] {
    match key {
        "version" => &["version"],
        "network" => &["network"],
        "gateway_key" => &["gateway_key"],
        "log_vkey" => &["log_vkey"],
        "quote" => &["quote"],
        "receipt" => &["receipt"],
        "closing" => &["closing"],
        "receipt_proof" => &["receipt_proof"],
        "closing_proof" => &["closing_proof"],
        "checkpoint" => &["checkpoint"],
        "anchor" => &["anchor"],
        other => panic!("a field that no one thought of: {other}"),
    }
}

fn top(path: &[Step]) -> &str {
    match path.first() {
        Some(Step::Key(key)) => key,
        other => panic!("the bundle is an object, found {other:?}"),
    }
}

/// Demands that the altered bundle is refused, with and without pins, by a message that names the part.
fn must_fail(trusts: &[Trust], keys: &[&str], what: &str, altered: &Value) {
    let json = serde_json::to_vec(altered).unwrap();
    for trust in trusts {
        let message = match verify_json(&json, trust) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{keys:?}: {what}: still verifies"),
        };
        let named = keys.iter().any(|key| area(key).iter().any(|word| message.contains(word)));
        assert!(named, "{keys:?}: {what}: the message names another part: {message}");
    }
}

#[test]
fn every_field_altered_in_turn_is_refused_by_name() {
    let fixture = Fixture::new();
    let bundle = serde_json::to_value(fixture.bundle()).unwrap();
    let trusts = [Trust::default(), fixture.trust()];
    let mut found = Vec::new();
    paths(&bundle, &Vec::new(), &mut found);
    assert!(found.len() > 40, "the walk sees the whole bundle");
    let mut count = 0;
    for path in &found {
        for (what, altered) in alterations(&bundle, path) {
            must_fail(&trusts, &[top(path)], &format!("{path:?} {what}"), &altered);
            count += 1;
        }
    }
    assert!(count > 10_000, "only {count} alterations");
}

#[test]
fn every_key_removed_or_swapped_is_refused_by_name() {
    let fixture = Fixture::new();
    let bundle = serde_json::to_value(fixture.bundle()).unwrap();
    let trusts = [Trust::default(), fixture.trust()];
    let mut found = vec![Vec::new()];
    paths(&bundle, &Vec::new(), &mut found);
    for path in &found {
        for (keys, what, altered) in removals_and_swaps(&bundle, path) {
            let keys: Vec<&str> = if path.is_empty() { keys.split('|').collect() } else { vec![top(path)] };
            must_fail(&trusts, &keys, &format!("{path:?} {what}"), &altered);
        }
    }
}
