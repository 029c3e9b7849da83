use super::*;
use ailayer_platform::config::load_from;

const MINIMAL: &str = r#"
[indexer]
network = "regtest"
electrum_url = "tcp://127.0.0.1:50001"
store = { url = "postgres://ailayer@127.0.0.1:5432/ailayer" }
"#;

fn load(extra: &str) -> Result<Config, String> {
    let config: Config =
        load_from("indexer", Some(&format!("{MINIMAL}{extra}")), []).map_err(|error| error.to_string())?;
    config.validate().map_err(|error| error.to_string())?;
    Ok(config)
}

#[test]
fn defaults_are_as_documented() {
    let config = load("").unwrap();
    assert_eq!(config.poll_interval, Duration::from_millis(500));
    assert_eq!(config.request_timeout, Duration::from_secs(10));
    assert_eq!(config.max_reorg_depth, 100);
    assert_eq!(config.max_watchers, 64);
    assert!(config.start_checkpoint.is_none());
}

#[test]
fn a_checkpoint_names_height_and_hash() {
    let hash = "00000000000000000001a0a448d6cf2546b06801389cc030b2b18c6491266815";
    let config = load(&format!("start_checkpoint = {{ height = 840672, hash = \"{hash}\" }}")).unwrap();
    assert_eq!(config.start_checkpoint.unwrap().hash.to_string(), hash);
}

#[test]
fn mistakes_are_named() {
    let hash = "00".repeat(32);
    let unaligned = format!("start_checkpoint = {{ height = 840000, hash = \"{hash}\" }}");
    for (extra, key) in [
        ("poll_interval = \"1ms\"", "indexer.poll_interval"),
        ("request_timeout = \"1ms\"", "indexer.request_timeout"),
        ("max_reorg_depth = 0", "indexer.max_reorg_depth"),
        ("max_reorg_depth = 5000", "indexer.max_reorg_depth"),
        ("max_watchers = 0", "indexer.max_watchers"),
        ("pool_interval = \"1s\"", "pool_interval"),
        (unaligned.as_str(), "indexer.start_checkpoint.height"),
    ] {
        let error = load(extra).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
    let mistake = MINIMAL.replace("tcp://", "http://");
    let config: Config = load_from("indexer", Some(&mistake), []).unwrap();
    assert!(config.validate().unwrap_err().to_string().contains("indexer.electrum_url"));
}
