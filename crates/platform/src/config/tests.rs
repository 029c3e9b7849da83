use std::time::Duration;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    #[serde(default)]
    platform: PlatformConfig,
    #[serde(default)]
    network: String,
    password: Option<Secret<String>>,
    #[serde(default)]
    port: u16,
}

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Example, ConfigError> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    load_from("model-serving", Some(text), environment)
}

#[test]
fn environment_wins_over_file_wins_over_default() {
    let text = "[model-serving]\nnetwork = \"signet\"\nport = 1\nplatform.grace_period = \"3s\"\n";
    let config = read(text, &[("AILAYER_MODEL_SERVING__PORT", "2"), ("AILAYER_GATEWAY__PORT", "9")]).unwrap();
    assert_eq!(config.network, "signet");
    assert_eq!(config.port, 2);
    assert_eq!(config.platform.grace_period, Duration::from_secs(3));
    assert_eq!(config.platform.server.max_concurrent_streams, 128);
}

#[test]
fn a_variable_that_looks_like_a_number_can_be_text() {
    let config = read("", &[("AILAYER_MODEL_SERVING__PASSWORD", "0042")]).unwrap();
    assert_eq!(config.password.unwrap().expose(), "0042");
    let config = read("", &[("AILAYER_MODEL_SERVING__NETWORK", "7")]).unwrap();
    assert_eq!(config.network, "7");
}

#[test]
fn nested_keys_come_from_the_environment() {
    let variables = [("AILAYER_MODEL_SERVING__PLATFORM__SERVER__LISTEN", "127.0.0.1:99")];
    assert_eq!(read("", &variables).unwrap().platform.server.listen.port(), 99);
}

#[test]
fn unknown_keys_and_tables_are_refused_by_name() {
    let error = read("[model-serving]\nnetwrok = \"x\"\n", &[]).unwrap_err().to_string();
    assert!(error.contains("netwrok"), "{error}");
    let error = read("[modelserving]\n", &[]).unwrap_err().to_string();
    assert!(error.contains("[modelserving]"), "{error}");
    let error = read("", &[("AILAYER_MODEL_SERVING__PLATFORM__NOPE", "1")]).unwrap_err().to_string();
    assert!(error.contains("nope"), "{error}");
}

#[test]
fn a_bad_value_is_named_with_its_path_in_one_line() {
    let error = read("[model-serving]\nplatform.grace_period = 3\n", &[]).unwrap_err().to_string();
    assert!(error.contains("model-serving.platform.grace_period"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn secrets_are_in_no_output() {
    let config = read("[model-serving]\npassword = \"hunter2\"\n", &[]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    // A syntax error must not quote the line it happened on.
    let error = read("[model-serving]\npassword = \"hunter2\" oops\n", &[]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}
