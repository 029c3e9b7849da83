//! The guard: money goes back before its deadline although nobody asks.

use ailayer_platform::error::ErrorReason;
use ailayer_proto::ailayer::payment::v1::HoldInvoiceState as State;

use crate::nodes::{money_back, money_taken};
use crate::running::assert_reason;
use crate::world::exclusive;

#[test]
fn the_guard_gives_money_back_before_the_deadline() {
    exclusive(async |world| {
        // Payers add blocks of their own, at random.
        let mut holds = [world.accepted().await, world.accepted().await];
        holds.sort_by_key(|hold| hold.claim_deadline_height);
        let [claimed_late, kept] = holds;
        let tip = world.app.node.status().tip.height;

        // The last height at which a claim is authorised.
        world.mine(claimed_late.claim_deadline_height - 2 - tip).await;
        world.claim(&claimed_late.invoice_id).await.unwrap();
        money_taken(&world.payer, &claimed_late.bolt11).await;
        assert_eq!(world.get(&kept.invoice_id).await.state(), State::Accepted);

        world.mine(kept.claim_deadline_height - 1 - (claimed_late.claim_deadline_height - 2)).await;
        let released = world.wait_state(&kept.invoice_id, State::Released).await;
        assert_eq!(released.release_reason, "deadline");
        assert_eq!(money_back(&world.payer, &kept.bolt11).await, "recipient_rejected");
        assert_reason(world.claim(&kept.invoice_id).await, ErrorReason::InvalidState);
        assert_eq!(world.states_in_log(&kept.invoice_id).await, [State::Accepted, State::Released]);
    });
}
