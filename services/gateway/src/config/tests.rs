use ailayer_platform::config::load_from;

use super::*;
use crate::domain::price::Usage;

const GOOD: &str = r#"
[gateway]
network = "regtest"
data_dir = "/var/lib/ailayer/gateway"
store.url = "postgres://ailayer:hunter2@127.0.0.1:5432/ailayer"
payment.endpoint = "http://127.0.0.1:7002"
serving.endpoint = "http://127.0.0.1:7001"
audit.endpoint = "http://127.0.0.1:7004"

[[gateway.prices]]
model = "all-minilm-l6-v2"
per_call_msat = 1000
per_token_msat = 10
"#;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config: Config = load_from("gateway", Some(text), variables)?;
    config.validate()?;
    Ok(config)
}

#[test]
fn a_short_file_has_sound_defaults() {
    let config = load(GOOD, &[]).unwrap();
    let rules = config.rules();
    assert_eq!((rules.run_limit_ms, rules.append_timeout_ms, rules.claim_margin_blocks), (60_000, 15_000, 2));
    assert_eq!(rules.acknowledge_timeout_ms, 30_000);
    let settings = config.quote_settings().unwrap();
    assert_eq!(settings.expiry, Duration::from_secs(600));
    assert_eq!(settings.prices["all-minilm-l6-v2"].of(&Usage::tokens(7)).unwrap().msat(), 1070);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn variables_override_the_file() {
    let variables = [("AILAYER_GATEWAY__MAX_OPEN_QUOTES", "5"), ("AILAYER_GATEWAY__RUN_LIMIT", "2s")];
    let config = load(GOOD, &variables).unwrap();
    assert_eq!((config.max_open_quotes, config.run_limit), (5, Duration::from_secs(2)));
}

#[test]
fn every_mistake_is_one_clear_line() {
    let price = "\n[[gateway.prices]]\nmodel = \"all-minilm-l6-v2\"\nper_call_msat = 1\n";
    let zero = "\n[[gateway.prices]]\nmodel = \"free\"\n";
    let cases = [
        (GOOD.replace("regtest", "bitcoin"), "gateway.network: is `bitcoin`"),
        (GOOD.replace("regtest", "mainnet"), "gateway.network"),
        (GOOD.replace("data_dir", "#"), "gateway.data_dir: must be set"),
        (format!("{GOOD}{price}"), "gateway.prices: all-minilm-l6-v2: has two prices"),
        (format!("{GOOD}{zero}"), "gateway.prices: free: a price of zero"),
        (GOOD.replace("network =", "netwrok ="), "netwrok"),
    ];
    for (text, expected) in cases {
        let error = load(&text, &[]).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
    let variables = [
        ("AILAYER_GATEWAY__QUOTE_EXPIRY", "1500ms", "gateway.quote_expiry"),
        ("AILAYER_GATEWAY__QUOTE_EXPIRY", "2days", "gateway.quote_expiry"),
        ("AILAYER_GATEWAY__RUN_LIMIT", "1h", "gateway.run_limit"),
        ("AILAYER_GATEWAY__LEASE", "1ms", "gateway.lease"),
        ("AILAYER_GATEWAY__APPEND_TIMEOUT", "0s", "gateway.append_timeout"),
        ("AILAYER_GATEWAY__ACKNOWLEDGE_TIMEOUT", "0s", "gateway.acknowledge_timeout"),
        ("AILAYER_GATEWAY__ACKNOWLEDGE_TIMEOUT", "1h", "gateway.acknowledge_timeout"),
        ("AILAYER_GATEWAY__RESULT_RETENTION", "0s", "gateway.result_retention"),
        ("AILAYER_GATEWAY__CLAIM_MARGIN_BLOCKS", "0", "gateway.claim_margin_blocks"),
        ("AILAYER_GATEWAY__MAX_ITEMS", "0", "gateway.max_items"),
        ("AILAYER_GATEWAY__AUDIT_LOG_KEY", "nonsense", "gateway.audit_log_key"),
        ("AILAYER_GATEWAY__STORE__URL", "mysql://x", "gateway.store.url"),
    ];
    for (name, value, expected) in variables {
        let error = load(GOOD, &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn real_money_needs_consent() {
    let text = GOOD.replace("\"regtest\"", "\"bitcoin\"\nallow_mainnet = true");
    assert!(load(&text, &[]).is_ok());
}
