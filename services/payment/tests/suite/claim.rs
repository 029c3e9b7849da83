//! Money that is taken.

use ailayer_platform::error::ErrorReason;
use ailayer_primitives::{Digest, Preimage};
use ailayer_proto::ailayer::payment::v1::HoldInvoiceState as State;
use ailayer_seal::{ResultKey, SharedSecret};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::nodes::{PRICE_MSAT, money_back, money_taken, pay};
use crate::running::{assert_reason, request};
use crate::world::shared;

#[test]
fn an_accepted_hold_is_claimed_and_the_payer_has_the_proof() {
    shared(async |world| {
        let wanted = request(Uuid::new_v4(), PRICE_MSAT, 600);
        let open = world.try_create(&wanted).await.unwrap();
        assert_eq!((open.state(), open.amount_msat, open.accepted_amount_msat), (State::Open, PRICE_MSAT, 0));
        pay(&world.payer, &open.bolt11).await;
        let accepted = world.wait_state(&open.invoice_id, State::Accepted).await;
        assert_eq!(accepted.accepted_amount_msat, PRICE_MSAT);
        assert!(accepted.claim_deadline_height > world.app.node.status().tip.height + 2);
        assert!(accepted.accepted_unix_ms > 0);

        let claimed = world.claim(&open.invoice_id).await.unwrap();
        assert!([State::ClaimRequested, State::Claimed].contains(&claimed.state()));
        let preimage = money_taken(&world.payer, &open.bolt11).await;
        assert_eq!(Digest::sha256(&preimage).to_vec(), open.payment_hash);
        world.wait_state(&open.invoice_id, State::Claimed).await;

        // Repeats change nothing, and nothing gives the money back any more.
        assert_eq!(world.claim(&open.invoice_id).await.unwrap().state(), State::Claimed);
        assert_reason(world.release(&open.invoice_id, "too_late").await, ErrorReason::InvalidState);
        let repeated = world.try_create(&wanted).await.unwrap();
        assert_eq!((repeated.state(), repeated.bolt11), (State::Claimed, open.bolt11));
        assert_eq!(world.states_in_log(&open.invoice_id).await, [State::Accepted, State::Claimed]);
    });
}

/// The payer, once paid, finds the key that sealed the answer; the service gave it out without its preimage.
#[test]
fn the_key_of_a_sealed_answer_comes_with_the_preimage() {
    shared(async |world| {
        let shared_secret = SharedSecret::new(Zeroizing::new([9; 32]));
        let accepted = world.accepted().await;
        let id = accepted.invoice_id.as_str();
        let key = world.seal_key(id, &[9; 32]).await.unwrap();
        assert_eq!(world.seal_key(id, &[9; 32]).await.unwrap(), key, "changes nothing");
        assert_ne!(world.seal_key(id, &[8; 32]).await.unwrap(), key);
        world.claim(id).await.unwrap();
        let preimage = money_taken(&world.payer, &accepted.bolt11).await;
        let derived = ResultKey::derive(&Preimage::new(preimage), &shared_secret, id.parse().unwrap());
        assert_eq!(key, derived.expose());
        assert_ne!(key, preimage);
        assert_reason(world.seal_key(id, &[9; 32]).await, ErrorReason::InvalidState);
    });
}

#[test]
fn nothing_is_sealed_without_locked_money() {
    shared(async |world| {
        let open = world.create(PRICE_MSAT).await;
        assert_reason(world.seal_key(&open.invoice_id, &[9; 32]).await, ErrorReason::InvalidState);
        let accepted = world.accepted().await;
        for wrong in [vec![], vec![9; 31], vec![9; 33], vec![0; 32]] {
            assert_reason(world.seal_key(&accepted.invoice_id, &wrong).await, ErrorReason::InvalidField);
        }
        world.release(&accepted.invoice_id, "canceled").await.unwrap();
        assert_reason(world.seal_key(&accepted.invoice_id, &[9; 32]).await, ErrorReason::InvalidState);
        let unknown = Uuid::new_v4().to_string();
        assert_reason(world.seal_key(&unknown, &[9; 32]).await, ErrorReason::InvoiceNotFound);
        assert_reason(world.seal_key("not an id", &[9; 32]).await, ErrorReason::InvalidField);
    });
}

#[test]
fn what_is_not_held_cannot_be_claimed() {
    shared(async |world| {
        let open = world.create(PRICE_MSAT).await;
        assert_reason(world.claim(&open.invoice_id).await, ErrorReason::InvalidState);
        let unknown = Uuid::new_v4().to_string();
        assert_reason(world.claim(&unknown).await, ErrorReason::InvoiceNotFound);
        assert_reason(world.claim("not an id").await, ErrorReason::InvalidField);
    });
}

#[test]
fn paying_twice_locks_the_money_once() {
    shared(async |world| {
        let accepted = world.accepted().await;
        let price = ailayer_primitives::AmountMsat::try_new(PRICE_MSAT).unwrap();
        let sent_again = world.payer.pay(&accepted.bolt11, price).await.unwrap();
        assert!(!sent_again, "the payer's node refuses a second payment of the same hash");
        world.claim(&accepted.invoice_id).await.unwrap();
        money_taken(&world.payer, &accepted.bolt11).await;
        assert!(!world.payer.pay(&accepted.bolt11, price).await.unwrap());
        let claimed = world.wait_state(&accepted.invoice_id, State::Claimed).await;
        assert_eq!(claimed.accepted_amount_msat, PRICE_MSAT);
    });
}

#[test]
fn claim_and_release_at_once_never_both_win() {
    shared(async |world| {
        for _ in 0..4 {
            let accepted = world.accepted().await;
            let id = accepted.invoice_id.as_str();
            let (claimed, released) = tokio::join!(world.claim(id), world.release(id, "changed_mind"));
            match (claimed, released) {
                (Ok(_), Err(_)) => {
                    money_taken(&world.payer, &accepted.bolt11).await;
                    world.wait_state(id, State::Claimed).await;
                }
                (Err(_), Ok(_)) => {
                    money_back(&world.payer, &accepted.bolt11).await;
                    world.wait_state(id, State::Released).await;
                }
                both => panic!("{both:?}"),
            }
        }
    });
}
