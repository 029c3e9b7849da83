use ailayer_platform::config::load_from;

use super::*;

const MINIMAL: &str = r#"
[audit]
network = "regtest"
origin = "ailayer.example/log"
data_dir = "audit"
store = { url = "postgres://nobody@127.0.0.1:1/x" }
indexer = { endpoint = "http://127.0.0.1:1" }
"#;

fn load(extra: &str) -> Result<Config, ConfigError> {
    let config: Config = load_from(NAME, Some(&format!("{MINIMAL}{extra}")), [])?;
    config.validate()?;
    Ok(config)
}

fn refused(extra: &str) -> String {
    load(extra).expect_err(extra).to_string()
}

#[test]
fn the_required_keys_are_enough() {
    let config = load("").unwrap();
    assert_eq!(config.anchor_confirmations, 6);
    assert_eq!(config.anchor_interval, Duration::from_secs(600));
    assert_eq!(config.start_check, StartCheck::Full);
}

#[test]
fn values_that_cannot_work_are_refused_by_key() {
    assert!(refused("anchor_confirmations = 0").contains("audit.anchor_confirmations"));
    assert!(refused("checkpoint_interval = \"1ms\"").contains("audit.checkpoint_interval"));
    assert!(refused("max_batch_entries = 0").contains("audit.max_batch_entries"));
    assert!(refused("queue_capacity = 0").contains("audit.queue_capacity"));
    assert!(refused("log_key = \"PRIVATE+KEY+x\"").contains("audit.log_key"));
    assert!(refused("colour = \"red\"").contains("colour"));
}

#[test]
fn the_production_network_needs_consent() {
    let production = MINIMAL.replace("regtest", "bitcoin");
    let config: Config = load_from(NAME, Some(&production), []).unwrap();
    assert!(config.validate().unwrap_err().to_string().contains("audit.allow_mainnet"));
    let config: Config = load_from(NAME, Some(&format!("{production}allow_mainnet = true")), []).unwrap();
    config.validate().unwrap();
}

#[test]
fn an_origin_must_be_a_key_name() {
    let config: Config = load_from(NAME, Some(&MINIMAL.replace("ailayer.example/log", "a b")), []).unwrap();
    assert!(config.validate().unwrap_err().to_string().contains("audit.origin"));
}

#[test]
fn a_key_in_the_configuration_is_never_shown() {
    let key = ailayer_tlog::note::Signer::try_new("ailayer.example/log", &[7; 32]).unwrap().to_secret_text();
    let config = load(&format!("log_key = \"{key}\"")).unwrap();
    assert!(!format!("{config:?}").contains("PRIVATE"));
}
