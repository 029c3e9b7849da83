//! An orderly restart between accept and the end.

use ailayer_proto::ailayer::payment::v1::HoldInvoiceState as State;

use crate::nodes::{money_back, money_taken};
use crate::world::exclusive;

#[test]
fn accepted_holds_survive_a_restart() {
    exclusive(async |world| {
        let (to_claim, to_release) = (world.accepted().await, world.accepted().await);
        world.restart().await;
        assert_eq!(world.get(&to_claim.invoice_id).await, to_claim);
        world.claim(&to_claim.invoice_id).await.unwrap();
        world.release(&to_release.invoice_id, "model_failed").await.unwrap();
        money_taken(&world.payer, &to_claim.bolt11).await;
        money_back(&world.payer, &to_release.bolt11).await;
        world.wait_state(&to_claim.invoice_id, State::Claimed).await;
        assert_eq!(world.states_in_log(&to_claim.invoice_id).await, [State::Accepted, State::Claimed]);
        assert_eq!(world.states_in_log(&to_release.invoice_id).await, [State::Accepted, State::Released]);
    });
}
