//! Puts the service together.

use std::sync::Arc;

use ailayer_platform::health::Health;
use ailayer_platform::server::Server;
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_proto::ailayer::audit::v1::audit_service_server::{AuditServiceServer, SERVICE_NAME};
use ailayer_store::{SingleWriter, Store};
use ailayer_tlog::note::Signer;
use bitcoin::FeeRate;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::adapters::bdk;
use crate::adapters::indexer_grpc::IndexerGrpc;
use crate::config::Config;
use crate::error::RunError;
use crate::ports::ChainView;
use crate::rpc::AuditRpc;
use crate::store::{MIGRATIONS, SCHEMA, log};
use crate::tasks::anchor_checkpoints::{AnchorSettings, Anchorer};
use crate::tasks::ping_database;
use crate::tasks::sequence_entries::{Sequencer, SequencerLimits};
use crate::tasks::sign_checkpoints::{self, CheckpointSigner};
use crate::{NAME, fsck, log_key};

/// Runs the service until the shutdown.
///
/// Appends are answered only after the stored log was verified and a checkpoint of it exists. The chain source may be
/// away: anchoring waits for it, appending does not.
///
/// # Errors
/// [`RunError`] when it cannot start, when the log is damaged, or when a task that it cannot live without failed.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    config.validate()?;
    let health = Health::new();
    let (database, sequencing) = (health.component("database"), health.component("sequencer"));
    let chain: Arc<dyn ChainView> =
        Arc::new(IndexerGrpc::try_new(&config.indexer).map_err(RunError::Indexer)?);
    let store = Store::connect(&config.store, SCHEMA, MIGRATIONS).await?;
    let writer = Arc::new(SingleWriter::acquire(&store, NAME).await?);
    let (signer, mnemonic) = identify(&config, &store, &writer).await?;

    let tree = fsck::check(&store, signer.verifier(), config.start_check).await?;
    tracing::info!(tree_size = tree.0.tree_size, origin = config.origin, "log verified");
    let checkpoints =
        CheckpointSigner { store: store.clone(), writer: writer.clone(), signer: signer.clone() };
    let first = Arc::new(checkpoints.ensure(tree.0).await?);
    let (published, published_seen) = watch::channel(first);

    let (sequencer, handle, head) =
        Sequencer::new(store.clone(), writer.clone(), limits(&config), tree, sequencing);
    let (anchorer, wallet) = Anchorer::open(
        store.clone(),
        writer,
        chain.clone(),
        anchor_settings(&config),
        mnemonic,
        published_seen.clone(),
    )
    .await?;

    let server = Server::bind(NAME, &config.platform, health).await?;
    let tasks = Tasks::new(shutdown.clone(), config.platform.grace_period);
    tasks.spawn("ping_database", ping_database::run(store.clone(), database, shutdown.clone()));
    tasks.spawn_critical("sequence_entries", sequencer.run(shutdown.clone()));
    tasks.spawn_critical(
        "sign_checkpoints",
        sign_checkpoints::run(
            checkpoints,
            config.checkpoint_interval,
            head.clone(),
            published,
            shutdown.clone(),
        ),
    );
    tasks.spawn_critical("anchor_checkpoints", anchorer.run(shutdown));
    let rpc = AuditRpc {
        store,
        signer,
        sequencer: handle,
        head,
        published: published_seen,
        wallet,
        chain,
        anchor_confirmations: config.anchor_confirmations,
    };
    let max_message_bytes = config.platform.server.max_message_bytes;
    let service = AuditServiceServer::new(rpc).max_decoding_message_size(max_message_bytes);
    server.spawn(&tasks, &[SERVICE_NAME], Routes::new(service));
    tasks.join().await?;
    Ok(())
}

/// The log's key and the wallet's words, which must be those that the database was made with.
async fn identify(
    config: &Config,
    store: &Store,
    writer: &SingleWriter,
) -> Result<(Arc<Signer>, zeroize::Zeroizing<String>), RunError> {
    let known = log::read(store.pool()).await?;
    let first_start = known.is_none();
    let signer = match &config.log_key {
        Some(key) => log_key::parse(key.expose(), &config.origin)
            .map_err(|reason| ailayer_platform::config::ConfigError::invalid("audit.log_key", reason))?,
        None => log_key::load(&config.data_dir, &config.origin, first_start)?,
    };
    let mnemonic = bdk::load_mnemonic(&config.data_dir, first_start)?;
    let configured = signer.verifier().to_string();
    match known {
        Some(known) if known.verification_key != configured => {
            return Err(RunError::OtherLog { stored: known.verification_key, configured });
        }
        Some(_) => {}
        None => {
            let mut tx = store.begin().await?;
            writer.check_in_tx(&mut tx).await?;
            log::create_in_tx(&mut tx, &config.origin, &configured).await?;
            tx.commit().await.map_err(ailayer_store::StoreError::from)?;
        }
    }
    Ok((Arc::new(signer), mnemonic))
}

const fn limits(config: &Config) -> SequencerLimits {
    SequencerLimits {
        queue_capacity: config.queue_capacity,
        max_queued_bytes: config.max_queued_bytes,
        max_batch_entries: config.max_batch_entries,
    }
}

fn anchor_settings(config: &Config) -> AnchorSettings {
    AnchorSettings {
        network: config.network,
        policy: config.anchor_policy(),
        interval: config.anchor_interval,
        poll_interval: config.chain_poll_interval,
        // One virtual byte is four weight units; the configuration is bounded far below overflow.
        max_fee_rate: FeeRate::from_sat_per_kwu(config.max_fee_rate_sat_per_vb.saturating_mul(250)),
    }
}
