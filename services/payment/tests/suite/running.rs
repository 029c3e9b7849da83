//! The service as its callers see it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_payment::Config;
use ailayer_payment::app::App;
use ailayer_payment::domain::preimage::PreimageSecret;
use ailayer_payment::ports::{LightningNode, PayoutLog};
use ailayer_payment::rpc::Handler;
use ailayer_payment::service::funds::Comparison;
use ailayer_payment::store::Rows;
use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_platform::health::Health;
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_proto::ailayer::payment::v1::payment_service_server::PaymentService as _;
use ailayer_proto::ailayer::payment::v1::{self as pb, HoldInvoiceState};
use futures::StreamExt as _;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::nodes::PATIENCE;

/// The service over a node, without its wire.
pub struct Running {
    pub app: Arc<App>,
    pub api: Handler,
    tasks: Tasks,
}

impl Running {
    pub async fn start(config: &Config, node: Arc<dyn LightningNode>) -> Self {
        Self::start_with_log(config, node, None).await
    }

    pub async fn start_with_log(
        config: &Config,
        node: Arc<dyn LightningNode>,
        log: Option<Arc<dyn PayoutLog>>,
    ) -> Self {
        let rows = Rows::connect(&config.store).await.unwrap();
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone(), Duration::from_secs(10));
        let secret = PreimageSecret::new([7; 32]);
        let app = App::start(config, rows, node, secret, log, shutdown).await.unwrap();
        app.spawn(&tasks, &Health::new());
        Self { api: Handler::new(Arc::clone(&app)), app, tasks }
    }

    /// Tells the tasks to end, and waits for none: for a test that is over, so that its connections go.
    pub fn abandon(&self) {
        self.tasks.shutdown_token().trigger();
    }

    /// Ends the tasks and gives the right to write back. The node goes on.
    pub async fn stop(self) {
        self.tasks.shutdown_token().trigger();
        self.tasks.join().await.unwrap();
        self.app.rows.close().await;
    }

    pub async fn create(&self, amount_msat: u64) -> pb::HoldInvoice {
        self.try_create(&request(Uuid::new_v4(), amount_msat, 600)).await.unwrap()
    }

    pub async fn try_create(
        &self,
        request: &pb::CreateHoldInvoiceRequest,
    ) -> Result<pb::HoldInvoice, Status> {
        let answer = self.api.create_hold_invoice(Request::new(request.clone())).await?;
        Ok(answer.into_inner().invoice.unwrap())
    }

    pub async fn get(&self, id: &str) -> pb::HoldInvoice {
        let name = Some(pb::get_hold_invoice_request::Name::InvoiceId(id.to_owned()));
        let answer = self.api.get_hold_invoice(Request::new(pb::GetHoldInvoiceRequest { name })).await;
        answer.unwrap().into_inner().invoice.unwrap()
    }

    pub async fn claim(&self, id: &str) -> Result<pb::HoldInvoice, Status> {
        let request = pb::ClaimHoldInvoiceRequest { invoice_id: id.to_owned() };
        Ok(self.api.claim_hold_invoice(Request::new(request)).await?.into_inner().invoice.unwrap())
    }

    pub async fn seal_key(&self, id: &str, shared_secret: &[u8]) -> Result<Vec<u8>, Status> {
        let (invoice_id, shared_secret) = (id.to_owned(), shared_secret.to_vec());
        let request = pb::DeriveSealKeyRequest { invoice_id, shared_secret };
        Ok(self.api.derive_seal_key(Request::new(request)).await?.into_inner().seal_key)
    }

    pub async fn release(&self, id: &str, reason: &str) -> Result<pb::HoldInvoice, Status> {
        let request = pb::ReleaseHoldInvoiceRequest { invoice_id: id.to_owned(), reason: reason.to_owned() };
        Ok(self.api.release_hold_invoice(Request::new(request)).await?.into_inner().invoice.unwrap())
    }

    pub async fn pay(&self, bolt11: &str, max_amount_msat: u64) -> Result<pb::Payment, Status> {
        let request = pb::PayInvoiceRequest { bolt11: bolt11.to_owned(), max_amount_msat };
        Ok(self.api.pay_invoice(Request::new(request)).await?.into_inner().payment.unwrap())
    }

    pub async fn payment(&self, payment_hash: &[u8]) -> pb::Payment {
        let request = pb::GetPaymentRequest { payment_hash: payment_hash.to_vec() };
        self.api.get_payment(Request::new(request)).await.unwrap().into_inner().payment.unwrap()
    }

    pub async fn wait_state(&self, id: &str, state: HoldInvoiceState) -> pb::HoldInvoice {
        until(&format!("hold invoice {state:?}"), async || {
            let invoice = self.get(id).await;
            if invoice.state() == state { Ok(invoice) } else { Err(format!("{:?}", invoice.state())) }
        })
        .await
    }

    pub async fn wait_payment(&self, payment_hash: &[u8], state: pb::PaymentState) -> pb::Payment {
        until(&format!("payment {state:?}"), async || {
            let payment = self.payment(payment_hash).await;
            if payment.state() == state { Ok(payment) } else { Err(format!("{:?}", payment.state())) }
        })
        .await
    }

    pub async fn wait_synced(&self) {
        until("the node in sync", async || {
            let node = self.api.get_node(Request::new(pb::GetNodeRequest {})).await.unwrap().into_inner();
            if node.synced { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    }

    /// Everything the log says after a cursor, now.
    pub async fn events_after(&self, after_cursor: u64) -> Vec<pb::WatchEventsResponse> {
        let request = Request::new(pb::WatchEventsRequest { after_cursor });
        let mut stream = self.api.watch_events(request).await.unwrap().into_inner();
        let mut events = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(300), stream.next()).await {
            events.push(event.unwrap());
        }
        events
    }

    /// What the log says about one hold invoice, in order.
    pub async fn states_in_log(&self, id: &str) -> Vec<HoldInvoiceState> {
        let events = self.events_after(0).await;
        let about =
            events.iter().filter_map(|event| hold_invoice(event)).filter(|invoice| invoice.invoice_id == id);
        about.map(pb::HoldInvoice::state).collect()
    }
}

pub fn hold_invoice(event: &pb::WatchEventsResponse) -> Option<&pb::HoldInvoice> {
    use pb::watch_events_response::Event;
    match event.event.as_ref()? {
        Event::HoldInvoiceAccepted(invoice)
        | Event::HoldInvoiceClaimed(invoice)
        | Event::HoldInvoiceReleased(invoice)
        | Event::HoldInvoiceLost(invoice)
        | Event::HoldInvoiceExpired(invoice) => Some(invoice),
        _ => None,
    }
}

pub fn request(id: Uuid, amount_msat: u64, expiry_s: u32) -> pb::CreateHoldInvoiceRequest {
    pb::CreateHoldInvoiceRequest {
        invoice_id: id.to_string(),
        amount_msat,
        description_hash: vec![9; 32],
        expiry_s,
    }
}

#[track_caller]
pub fn assert_reason<T: std::fmt::Debug>(outcome: Result<T, Status>, reason: ErrorReason) {
    let status = outcome.expect_err("should have been refused");
    assert_eq!(reason_of(&status), Some(reason), "{status:?}");
}

/// Waits for books that agree with what the node's channels hold.
pub async fn agreeing(service: &Running) -> Comparison {
    until("books that agree", async || match service.app.funds.compare().await {
        Ok(compared) if compared.agrees() => Ok(compared),
        other => Err(format!("{other:?}")),
    })
    .await
}

/// Tries until it holds; says what was wrong last if it never does.
pub async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match holds().await {
            Ok(value) => return value,
            Err(last) if began.elapsed() > PATIENCE => panic!("waited in vain for {what}: {last}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
