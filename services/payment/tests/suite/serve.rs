//! The whole service over its socket: start, answers, refusals to start, stop.

use std::time::Duration;

use ailayer_client::{ClientConfig, PaymentClient};
use ailayer_devnet::{Bitcoind, DataDir, Postgres, free_port};
use ailayer_payment::{Config, RunError};
use ailayer_platform::error::ErrorReason;
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_primitives::{AmountMsat, Digest, Network};
use uuid::Uuid;

use crate::nodes::config;
use crate::running::until;
use crate::world::alone;

#[test]
fn the_service_starts_answers_refuses_a_second_copy_and_stops() {
    alone(async || {
        let data_dir = DataDir::temporary().unwrap();
        let bitcoind = Bitcoind::start().await.unwrap();
        bitcoind.mine(1).await.unwrap();
        let (lightning, grpc) = (free_port().unwrap(), free_port().unwrap());
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        let listen = format!(
            "platform.server.listen = \"{}\"\nstore.acquire_timeout = \"1s\"\nmax_open_invoices = 2",
            grpc.address()
        );
        let config =
            config(&data_dir.subfolder("payment").unwrap(), &bitcoind, &lightning, &database, &listen);

        let (shutdown, service) = (Shutdown::new(), Tasks::new(Shutdown::new(), Duration::from_secs(30)));
        let running = ailayer_payment::run(config.clone(), shutdown.clone());
        service.spawn_critical("payment", running);
        let client = PaymentClient::new(&ClientConfig::new(format!("http://{}", grpc.address()))).unwrap();
        let node = until("the service", async || {
            let node = client.node().await.map_err(|error| error.to_string())?;
            if node.synced { Ok(node) } else { Err("not synced".to_owned()) }
        })
        .await;
        assert_eq!(node.network, Network::Regtest);
        assert_eq!(node.listening_addresses, [lightning.address().to_string()]);
        assert!(node.tip.is_some_and(|tip| tip.height >= 1));
        assert!(client.create_address().await.unwrap().starts_with("bcrt1"));
        let balances = client.balances().await.unwrap();
        assert_eq!((balances.onchain_total_sat, balances.held_msat), (0, 0));
        assert!(client.list_channels().await.unwrap().is_empty());

        let price = AmountMsat::try_new(1_000).unwrap();
        let create = || client.create_hold_invoice(Uuid::new_v4(), price, Digest::new([1; 32]), 60);
        create().await.unwrap();
        let kept = create().await.unwrap();
        assert_eq!(create().await.unwrap_err().reason(), Some(ErrorReason::TooManyOpen));

        // Two copies of channel state lose funds: neither the folder nor the schema is shared.
        let second = ailayer_payment::run(config.clone(), Shutdown::new()).await;
        assert!(matches!(second, Err(RunError::DataDir(_))), "{second:?}");
        let elsewhere = Config { data_dir: data_dir.subfolder("elsewhere").unwrap(), ..config.clone() };
        let second = ailayer_payment::run(elsewhere.clone(), Shutdown::new()).await;
        assert!(matches!(second, Err(RunError::Store(_))), "{second:?}");

        shutdown.trigger();
        service.shutdown_token().trigger();
        service.join().await.unwrap();

        // A schema with invoices, and a folder without their secret.
        let foreign = ailayer_payment::run(elsewhere, Shutdown::new()).await;
        assert!(matches!(foreign, Err(RunError::DataDir(_))), "{foreign:?}");
        // The same folder again: what was stored is there.
        let (shutdown, service) = (Shutdown::new(), Tasks::new(Shutdown::new(), Duration::from_secs(30)));
        service.spawn_critical("payment", ailayer_payment::run(config, shutdown.clone()));
        let found = until("the service again", async || {
            client.hold_invoice(kept.invoice_id).await.map_err(|error| error.to_string())
        })
        .await;
        assert_eq!(found, kept);
        shutdown.trigger();
        service.shutdown_token().trigger();
        service.join().await.unwrap();
    });
}
