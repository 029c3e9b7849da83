//! Money that goes back.

use ailayer_platform::error::ErrorReason;
use ailayer_primitives::AmountMsat;
use ailayer_proto::ailayer::payment::v1::HoldInvoiceState as State;
use uuid::Uuid;

use crate::nodes::{PRICE_MSAT, money_back, pay};
use crate::running::{assert_reason, request, until};
use crate::world::{exclusive, shared};

#[test]
fn a_released_hold_leaves_the_payers_balance_as_it_was() {
    exclusive(async |world| {
        let before = world.payer.balances().await.unwrap().outbound_msat;
        let accepted = world.accepted().await;
        assert!(world.payer.balances().await.unwrap().outbound_msat < before, "locked money cannot be sent");
        let released = world.release(&accepted.invoice_id, "model_failed").await.unwrap();
        assert_eq!((released.state(), released.release_reason.as_str()), (State::Released, "model_failed"));
        assert_eq!(money_back(&world.payer, &accepted.bolt11).await, "recipient_rejected");
        until("the payer's old balance", async || {
            let now = world.payer.balances().await.unwrap().outbound_msat;
            if now == before { Ok(()) } else { Err(format!("{now} of {before}")) }
        })
        .await;

        assert_reason(world.claim(&accepted.invoice_id).await, ErrorReason::InvalidState);
        let again = world.release(&accepted.invoice_id, "another_word").await.unwrap();
        assert_eq!((again.state(), again.release_reason.as_str()), (State::Released, "model_failed"));
        assert_eq!(world.states_in_log(&accepted.invoice_id).await, [State::Accepted, State::Released]);
    });
}

#[test]
fn paying_a_released_invoice_again_fails_back_again() {
    shared(async |world| {
        let accepted = world.accepted().await;
        world.release(&accepted.invoice_id, "model_failed").await.unwrap();
        for _ in 0..2 {
            money_back(&world.payer, &accepted.bolt11).await;
            pay(&world.payer, &accepted.bolt11).await;
        }
        money_back(&world.payer, &accepted.bolt11).await;
        assert_eq!(world.states_in_log(&accepted.invoice_id).await, [State::Accepted, State::Released]);
    });
}

#[test]
fn an_invoice_withdrawn_before_it_was_paid_fails_back() {
    shared(async |world| {
        let open = world.create(PRICE_MSAT).await;
        let released = world.release(&open.invoice_id, "canceled").await.unwrap();
        assert_eq!(released.state(), State::Released);
        pay(&world.payer, &open.bolt11).await;
        assert_eq!(money_back(&world.payer, &open.bolt11).await, "recipient_rejected");
        let row = world.get(&open.invoice_id).await;
        assert_eq!((row.state(), row.accepted_amount_msat), (State::Released, 0));
    });
}

#[test]
fn an_id_released_before_it_was_created_refuses_the_create() {
    shared(async |world| {
        let id = Uuid::new_v4();
        let released = world.release(&id.to_string(), "gateway_gave_up").await.unwrap();
        assert_eq!((released.state(), released.amount_msat), (State::Released, 0));
        assert_eq!(world.release(&id.to_string(), "again").await.unwrap().release_reason, "gateway_gave_up");
        assert_reason(world.try_create(&request(id, PRICE_MSAT, 60)).await, ErrorReason::InvalidState);
        assert_eq!(world.states_in_log(&id.to_string()).await, [State::Released]);
    });
}

#[test]
fn an_unpaid_invoice_expires() {
    shared(async |world| {
        let short = world.try_create(&request(Uuid::new_v4(), PRICE_MSAT, 1)).await.unwrap();
        let expired = world.wait_state(&short.invoice_id, State::Expired).await;
        assert_eq!(expired.release_reason, "");
        let price = AmountMsat::try_new(PRICE_MSAT).unwrap();
        assert!(world.payer.pay(&short.bolt11, price).await.is_err(), "a payer's node does not pay it");
        assert_reason(world.claim(&short.invoice_id).await, ErrorReason::InvalidState);
        assert_eq!(world.states_in_log(&short.invoice_id).await, [State::Expired]);
    });
}

#[test]
fn an_overpayment_goes_back() {
    shared(async |world| {
        let open = world.create(PRICE_MSAT).await;
        let more = AmountMsat::try_new(PRICE_MSAT + 1).unwrap();
        world.payer.pay_amount(&open.bolt11, more).await.unwrap();
        assert_eq!(money_back(&world.payer, &open.bolt11).await, "recipient_rejected");
        let released = world.wait_state(&open.invoice_id, State::Released).await;
        assert_eq!(released.release_reason, "amount_mismatch");
        assert_eq!(released.accepted_amount_msat, PRICE_MSAT + 1, "what arrived is recorded");
        assert_eq!(world.states_in_log(&open.invoice_id).await, [State::Released]);
    });
}

#[test]
fn reasons_that_are_no_words_are_refused() {
    shared(async |world| {
        let id = Uuid::new_v4().to_string();
        for reason in ["", "Not A Word", &"x".repeat(65)] {
            assert_reason(world.release(&id, reason).await, ErrorReason::InvalidField);
        }
    });
}
