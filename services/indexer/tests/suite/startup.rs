//! What stops a start, with one clear line.

use std::sync::Arc;

use ailayer_indexer::app::Sources;
use ailayer_indexer::config::Config;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::Network;

use crate::fake_electrum::FakeElectrum;
use crate::harness::{Indexer, Net, config, new_database};

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}

#[tokio::test]
async fn a_server_of_another_network_is_refused() {
    let net = Net::start().await;
    let config = Config { network: Network::Signet, ..net.config(&new_database().await) };
    let error = ailayer_indexer::run(config, Shutdown::new()).await.unwrap_err();
    let line = chain_of(&error);
    assert!(line.contains("indexer.electrum_url") && line.contains("serves another network"), "{line}");
}

#[tokio::test]
async fn a_database_of_another_network_is_refused() {
    let fake = Arc::new(FakeElectrum::new(1));
    let database = new_database().await;
    let indexer = Indexer::start_on_source(&database, "", fake.clone()).await;
    indexer.wait_for_tip(fake.tip_hash()).await;
    indexer.stop().await.unwrap();

    let config = Config { network: Network::Testnet4, ..config(&database, "tcp://127.0.0.1:1", "") };
    let sources = Sources { follow: fake.clone(), query: fake };
    let error = Indexer::start_on(config, sources).await.unwrap().stopped().await.unwrap_err();
    assert!(chain_of(&error).contains("the database follows regtest"), "{}", chain_of(&error));
}

#[tokio::test]
async fn a_chain_may_start_at_a_checkpoint_that_is_checked() {
    let fake = Arc::new(FakeElectrum::new(2_020));
    let hash = fake.chain()[2_016];
    let with = |hash| format!("start_checkpoint = {{ height = 2016, hash = \"{hash}\" }}");
    let indexer = Indexer::start_on_source(&new_database().await, &with(hash), fake.clone()).await;
    indexer.wait_for_tip(fake.tip_hash()).await;
    let page = indexer.headers(2_016, 0).await.unwrap();
    assert_eq!(page.headers.len(), 5);
    assert!(indexer.headers(2_015, 1).await.is_err(), "blocks below are not held");
    indexer.stop().await.unwrap();

    let wrong = with(fake.chain()[2_015]);
    let indexer = Indexer::start_on_source(&new_database().await, &wrong, fake.clone()).await;
    let error = indexer.stopped().await.unwrap_err();
    assert!(chain_of(&error).contains("indexer.start_checkpoint"), "{}", chain_of(&error));
}

#[tokio::test]
async fn a_database_that_cannot_be_used_stops_the_start() {
    let fake = Arc::new(FakeElectrum::new(1));
    let url = "postgres://nobody:wrong@127.0.0.1:1/nothing";
    let sources = Sources { follow: fake.clone(), query: fake };
    let config = config(url, "tcp://127.0.0.1:1", "");
    let config = Config {
        store: ailayer_store::StoreConfig {
            startup_timeout: std::time::Duration::from_millis(300),
            ..config.store.clone()
        },
        ..config
    };
    let error = Indexer::start_on(config, sources).await.err().unwrap();
    let line = chain_of(&error);
    assert!(line.starts_with("database") && !line.contains("wrong"), "{line}");
}
