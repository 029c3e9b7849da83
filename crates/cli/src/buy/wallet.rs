//! Opening the buyer's wallet and making sure it can pay.

use std::time::Duration;

use ailayer_client::gateway::Seller;
use ailayer_payer::{Payer, PayerConfig};
use ailayer_primitives::AmountMsat;

use crate::args::WalletArgs;
use crate::exit::{Exit, Failure, chain};
use crate::output::Output;

/// How long a peer may take to negotiate a channel.
const NEGOTIATION: Duration = Duration::from_secs(60);
/// How long a new channel may take to confirm: a few blocks, on a slow day.
const CONFIRMATION: Duration = Duration::from_secs(3 * 3600);
/// How long a known channel may take to reconnect.
const RECONNECTION: Duration = Duration::from_secs(30);

/// Opens the node in the wallet folder.
pub async fn open(args: &WalletArgs) -> Result<Payer, Failure> {
    if args.network.is_production() && !args.allow_mainnet {
        return Err(Failure::new(
            Exit::Configuration,
            "the network bitcoin spends real money: add --allow-mainnet if you mean it",
        ));
    }
    start(config(args)?).await
}

/// Starts a node.
pub async fn start(config: PayerConfig) -> Result<Payer, Failure> {
    Payer::start(config).await.map_err(|error| Failure::new(Exit::Configuration, chain(&error)))
}

fn config(args: &WalletArgs) -> Result<PayerConfig, Failure> {
    let authority =
        args.bitcoind_rpc.strip_prefix("http://").unwrap_or(&args.bitcoind_rpc).trim_end_matches('/');
    let (host, port) = authority
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| {
            Failure::new(Exit::Configuration, "--bitcoind-rpc is not of the form http://host:port")
        })?;
    Ok(PayerConfig {
        data_dir: args.wallet.clone(),
        network: args.network,
        rpc_host: host.to_owned(),
        rpc_port: port,
        rpc_user: args.bitcoind_user.clone(),
        rpc_password: args.bitcoind_password.clone(),
        listen: args.listen,
    })
}

/// Waits for a channel that can pay the price; opens one to the seller if there is none and that was asked for.
pub async fn ensure_channel(
    payer: &Payer,
    args: &WalletArgs,
    seller: &Seller,
    price: AmountMsat,
    out: &Output,
) -> Result<(), Failure> {
    if payer.has_channel() {
        return payer.wait_channel_usable(price.msat(), RECONNECTION).await.map_err(unpaid);
    }
    let Some(channel_sat) = args.open_channel_sat else {
        return Err(Failure::new(
            Exit::Payment,
            "your wallet has no channel: add --open-channel-sat N to open one to the seller",
        ));
    };
    let peer_address = seller.node_addresses.first().ok_or_else(|| {
        Failure::new(
            Exit::Payment,
            "the seller announces no address: open a channel to a node that reaches it",
        )
    })?;
    payer.sync().await.map_err(unpaid)?;
    let funds = payer.balances().await.map_err(unpaid)?;
    if funds.onchain_spendable_sat <= channel_sat {
        let address = payer.new_address().await.map_err(unpaid)?;
        return Err(Failure::new(
            Exit::Payment,
            format_args!(
                "your wallet has {} sat to spend; send more than {channel_sat} sat to {address}, wait for a block, and repeat",
                funds.onchain_spendable_sat
            ),
        ));
    }
    out.progress(format_args!("opening a channel of {channel_sat} sat to {}", hex::encode(seller.node_id)));
    payer.open_channel(&seller.node_id, peer_address, channel_sat, 0).await.map_err(unpaid)?;
    payer.wait_funding(NEGOTIATION).await.map_err(unpaid)?;
    out.progress("waiting for the channel's confirmations");
    payer.wait_channel_usable(price.msat(), CONFIRMATION).await.map_err(unpaid)
}

fn unpaid(error: ailayer_payer::PayerError) -> Failure {
    Failure::new(Exit::Payment, chain(&error))
}
