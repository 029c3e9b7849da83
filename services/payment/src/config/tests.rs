use ailayer_platform::config::load_from;

use super::*;

const MINIMAL: &str = r#"
    [payment]
    network = "regtest"
    data_dir = "/nowhere"
    bitcoind_rpc_port = 18443
    bitcoind_rpc_user = "user"
    bitcoind_rpc_password = "hunter2"
    store.url = "postgres://postgres@127.0.0.1/db"
"#;

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let config: Config = load_from("payment", Some(text), environment)?;
    config.validate()?;
    Ok(config)
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = load(MINIMAL, &[]).unwrap();
    assert_eq!((config.claim_margin_blocks, config.guard_margin_blocks), (2, 1));
    assert_eq!(config.max_sync_age, Duration::from_secs(3600));
    assert_eq!(config.first_sync_wait, Duration::from_secs(60));
    assert_eq!(config.tip_age_limit(), None, "regtest mines when asked");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn mainnet_needs_consent() {
    let refused = load(MINIMAL, &[("AILAYER_PAYMENT__NETWORK", "bitcoin")]).unwrap_err();
    assert!(refused.to_string().contains("payment.network"), "{refused}");
    let consent = [("AILAYER_PAYMENT__NETWORK", "bitcoin"), ("AILAYER_PAYMENT__ALLOW_MAINNET", "true")];
    let refused = load(MINIMAL, &consent).unwrap_err();
    assert!(refused.to_string().contains("payment.audit"), "{refused}");
    let with_log = [consent[0], consent[1], ("AILAYER_PAYMENT__AUDIT__ENDPOINT", "http://127.0.0.1:1")];
    assert!(load(MINIMAL, &with_log).unwrap().tip_age_limit().is_some());
    let without_payouts = [consent[0], consent[1], ("AILAYER_PAYMENT__PAYOUTS_ENABLED", "false")];
    load(MINIMAL, &without_payouts).unwrap();
}

#[test]
fn contradictions_and_unknown_keys_are_refused() {
    for (key, value) in [
        ("AILAYER_PAYMENT__CLAIM_MARGIN_BLOCKS", "1"),
        ("AILAYER_PAYMENT__GUARD_MARGIN_BLOCKS", "0"),
        ("AILAYER_PAYMENT__GUARD_INTERVAL", "0s"),
        ("AILAYER_PAYMENT__NODE_CALL_TIMEOUT", "0s"),
        ("AILAYER_PAYMENT__MAX_ACCEPTED_HOLDS", "0"),
        ("AILAYER_PAYMENT__MAX_WATCHERS", "0"),
        ("AILAYER_PAYMENT__NO_SUCH_KEY", "1"),
    ] {
        assert!(load(MINIMAL, &[(key, value)]).is_err(), "{key} = {value}");
    }
}
