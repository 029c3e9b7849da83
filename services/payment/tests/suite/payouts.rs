//! Channels and outgoing payments of the real node.

use std::sync::Arc;

use ailayer_devnet::{Postgres, free_port};
use ailayer_payment::ports::{LightningNode, NodeEvent};
use ailayer_primitives::{AmountMsat, Digest, Preimage};
use ailayer_proto::ailayer::payment::v1::payment_service_server::PaymentService as _;
use ailayer_proto::ailayer::payment::v1::watch_events_response::Event;
use ailayer_proto::ailayer::payment::v1::{self as pb, PaymentState};
use tonic::Request;
use uuid::Uuid;

use crate::nodes::{PATIENCE, config, start_node};
use crate::running::until;
use crate::world::{World, exclusive};

const AMOUNT_MSAT: u64 = 50_000;

/// A node of somebody else, whose invoices the service pays.
struct Shop {
    node: Arc<dyn LightningNode>,
}

impl Shop {
    async fn invoice(&self, preimage: &Preimage) -> String {
        let amount = AmountMsat::try_new(AMOUNT_MSAT).unwrap();
        let made =
            self.node.receive_for_hash(preimage.payment_hash(), amount, Digest::new([1; 32]), 600).await;
        made.unwrap().bolt11
    }

    /// Takes or refuses what arrives for a payment hash.
    async fn settle(&self, preimage: &Preimage, take: bool) {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.node.next_event()).await.unwrap();
            self.node.event_handled().await.unwrap();
            if let NodeEvent::PaymentClaimable { payment_hash, amount, .. } = event
                && payment_hash == preimage.payment_hash()
            {
                let told = if take {
                    self.node.claim(amount, preimage).await
                } else {
                    self.node.fail_back(payment_hash).await
                };
                return told.unwrap();
            }
        }
    }
}

async fn open_channel(world: &World, request: &pb::OpenChannelRequest) -> Vec<u8> {
    until("the channel's opening", async || {
        let answer = world.api.open_channel(Request::new(request.clone())).await;
        answer.map(|answer| answer.into_inner().user_channel_id).map_err(|status| status.to_string())
    })
    .await
}

#[test]
fn a_channel_is_opened_and_invoices_are_paid_through_it() {
    exclusive(async |world| {
        let lightning = free_port().unwrap();
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        let node =
            start_node(&config(&world.folder("shop"), &world.bitcoind, &lightning, &database, "")).await;
        let shop = Shop { node };
        let address: bitcoin::Address<bitcoin::address::NetworkUnchecked> =
            shop.node.new_address().await.unwrap().parse().unwrap();
        world.bitcoind.fund(&address.assume_checked(), 500_000).await.unwrap();
        world.mine(1).await;
        until("the shop's coins", async || {
            let sat = shop.node.balances().await.unwrap().onchain_spendable.sat();
            if sat > 0 { Ok(()) } else { Err("none".to_owned()) }
        })
        .await;

        let order = pb::OpenChannelRequest {
            request_id: Uuid::new_v4().to_string(),
            peer_node_id: shop.node.node_id().serialize().to_vec(),
            peer_address: lightning.address().to_string(),
            channel_amount_sat: 400_000,
            push_amount_msat: 0,
            announce: false,
        };
        let id = open_channel(world, &order).await;
        assert_eq!(open_channel(world, &order).await, id, "once an order");
        until("the funding transaction", async || {
            let mempool = world.bitcoind.call("getrawmempool", Default::default()).await.unwrap();
            if mempool.as_array().is_some_and(|all| !all.is_empty()) {
                Ok(())
            } else {
                Err(mempool.to_string())
            }
        })
        .await;
        world.mine(6).await;
        until("a usable channel", async || {
            let answer = world.api.list_channels(Request::new(pb::ListChannelsRequest {})).await.unwrap();
            let channels = answer.into_inner().channels;
            let ready = channels.iter().any(|channel| channel.user_channel_id == id && channel.usable);
            if ready { Ok(()) } else { Err(format!("{channels:?}")) }
        })
        .await;

        let preimage = Preimage::new([21; 32]);
        let bolt11 = shop.invoice(&preimage).await;
        let pending = world.pay(&bolt11, AMOUNT_MSAT).await.unwrap();
        shop.settle(&preimage, true).await;
        let succeeded = world.wait_payment(&pending.payment_hash, PaymentState::Succeeded).await;
        assert_eq!(succeeded.preimage, preimage.expose());
        assert_eq!(world.pay(&bolt11, AMOUNT_MSAT).await.unwrap(), succeeded, "paid once");

        let refused = Preimage::new([22; 32]);
        let bolt11 = shop.invoice(&refused).await;
        let pending = world.pay(&bolt11, AMOUNT_MSAT).await.unwrap();
        shop.settle(&refused, false).await;
        let failed = world.wait_payment(&pending.payment_hash, PaymentState::Failed).await;
        assert_eq!((failed.failure_reason.as_str(), failed.preimage.len()), ("recipient_rejected", 0));

        let events = world.events_after(0).await;
        let told = |wanted: &dyn Fn(&Event) -> bool| {
            events.iter().filter(|event| event.event.as_ref().is_some_and(wanted)).count()
        };
        assert_eq!(
            told(&|event| matches!(event, Event::ChannelReady(channel) if channel.user_channel_id == id)),
            1
        );
        assert_eq!(told(&|event| *event == Event::PaymentEnded(succeeded.clone())), 1);
        assert_eq!(told(&|event| *event == Event::PaymentEnded(failed.clone())), 1);
        shop.node.stop().await;
    });
}
