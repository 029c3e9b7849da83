//! Making hold invoices.

use ailayer_platform::error::ErrorReason;
use ailayer_proto::ailayer::payment::v1::payment_service_server::PaymentService as _;
use ailayer_proto::ailayer::payment::v1::{self as pb, HoldInvoiceState as State};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef};
use tonic::Request;
use uuid::Uuid;

use crate::nodes::PRICE_MSAT;
use crate::running::{assert_reason, request};
use crate::world::shared;

#[test]
fn an_invoice_commits_to_what_was_asked() {
    shared(async |world| {
        let open = world.create(PRICE_MSAT).await;
        let invoice: Bolt11Invoice = open.bolt11.parse().unwrap();
        assert_eq!(invoice.amount_milli_satoshis(), Some(PRICE_MSAT));
        assert_eq!(invoice.expiry_time().as_secs(), 600);
        assert_eq!(invoice.get_payee_pub_key(), world.app.node.node_id());
        let hash: &[u8] = invoice.payment_hash().as_ref();
        assert_eq!(hash, open.payment_hash);
        let Bolt11InvoiceDescriptionRef::Hash(description) = invoice.description() else { panic!("no hash") };
        assert_eq!(description.0.as_ref() as &[u8], [9; 32]);
        assert_eq!(open.expiry_unix_s, invoice.expires_at().unwrap().as_secs());
    });
}

#[test]
fn a_repeat_answers_what_is_stored_and_another_body_is_refused() {
    shared(async |world| {
        let wanted = request(Uuid::new_v4(), PRICE_MSAT, 600);
        let first = world.try_create(&wanted).await.unwrap();
        assert_eq!(world.try_create(&wanted).await.unwrap(), first);
        let others = [
            pb::CreateHoldInvoiceRequest { amount_msat: PRICE_MSAT + 1, ..wanted.clone() },
            pb::CreateHoldInvoiceRequest { expiry_s: 601, ..wanted.clone() },
            pb::CreateHoldInvoiceRequest { description_hash: vec![8; 32], ..wanted.clone() },
        ];
        for other in others {
            assert_reason(world.try_create(&other).await, ErrorReason::RequestIdReused);
        }
        assert_eq!(world.get(&first.invoice_id).await, first);
    });
}

#[test]
fn many_creates_of_one_id_at_once_make_one_invoice() {
    shared(async |world| {
        let wanted = request(Uuid::new_v4(), PRICE_MSAT, 600);
        let made = futures::future::join_all((0..8).map(|_| world.try_create(&wanted))).await;
        let texts: Vec<String> = made.into_iter().map(|invoice| invoice.unwrap().bolt11).collect();
        assert!(texts.iter().all(|text| *text == texts[0]));
    });
}

#[test]
fn bad_requests_are_refused_by_field() {
    shared(async |world| {
        let good = request(Uuid::new_v4(), PRICE_MSAT, 600);
        let bad = [
            pb::CreateHoldInvoiceRequest { invoice_id: String::new(), ..good.clone() },
            pb::CreateHoldInvoiceRequest { invoice_id: Uuid::nil().to_string(), ..good.clone() },
            pb::CreateHoldInvoiceRequest { amount_msat: 0, ..good.clone() },
            pb::CreateHoldInvoiceRequest { amount_msat: u64::MAX, ..good.clone() },
            pb::CreateHoldInvoiceRequest { description_hash: vec![9; 31], ..good.clone() },
            pb::CreateHoldInvoiceRequest { expiry_s: 0, ..good.clone() },
            pb::CreateHoldInvoiceRequest { expiry_s: 86_401, ..good.clone() },
        ];
        for request in bad {
            assert_reason(world.try_create(&request).await, ErrorReason::InvalidField);
        }
    });
}

#[test]
fn an_invoice_is_found_by_both_its_names() {
    shared(async |world| {
        let open = world.create(PRICE_MSAT).await;
        assert_eq!(open.state(), State::Open);
        let by = async |name| {
            let request = Request::new(pb::GetHoldInvoiceRequest { name });
            world.api.get_hold_invoice(request).await.map(|answer| answer.into_inner().invoice.unwrap())
        };
        use pb::get_hold_invoice_request::Name;
        assert_eq!(by(Some(Name::InvoiceId(open.invoice_id.clone()))).await.unwrap(), open);
        assert_eq!(by(Some(Name::PaymentHash(open.payment_hash.clone()))).await.unwrap(), open);
        assert_reason(by(Some(Name::PaymentHash(vec![0; 32]))).await, ErrorReason::InvoiceNotFound);
        assert_reason(by(Some(Name::PaymentHash(vec![0; 5]))).await, ErrorReason::InvalidField);
        assert_reason(by(None).await, ErrorReason::InvalidField);
    });
}
