//! One deed at a time.

use ailayer_gateway::domain::keys::{Keys, Master};
use ailayer_gateway::rpc::{Accounts, Admin};
use ailayer_platform::error::ErrorReason;
use ailayer_primitives::JobId;
use ailayer_proto::ailayer::gateway::v1 as pb;
use futures::future::join_all;
use pb::account_service_server::AccountService as _;
use pb::admin_service_server::AdminService as _;
use pb::gateway_service_server::GatewayService as _;
use tonic::{Request, Response, Status};

use super::{Buyers, DepositNote, HoldNote, OrderNote};
use crate::customer::{id, job};
use crate::settlement::plan::{Deed, Payment};
use crate::settlement::town::Town;
use crate::world::{Bought, Line, operator_key, order, reason, with_key};

/// Gateways that a caller tries in a row.
const TRIES: usize = 3;

/// What a call may fail with while things are cut, killed and out of order. The caller asks again, or gives up.
const EXPECTED: [ErrorReason; 11] = [
    ErrorReason::StorageUnavailable,
    ErrorReason::DependencyUnavailable,
    ErrorReason::Overloaded,
    ErrorReason::ShuttingDown,
    ErrorReason::InsufficientFunds,
    ErrorReason::AccountFrozen,
    ErrorReason::KeyLimitReached,
    ErrorReason::InvalidState,
    ErrorReason::NotSynced,
    ErrorReason::QuoteExpired,
    ErrorReason::TooManyOpen,
];

/// A text of so many words.
fn text(words: u64) -> String {
    (0..words).map(|_| "word").collect::<Vec<_>>().join(" ")
}

impl Buyers {
    pub(super) async fn deed(&self, town: &Town, deed: Deed, gateway: usize) {
        match deed {
            Deed::Buy { words, pays, cancels } => self.buy(town, gateway, words, pays, cancels).await,
            Deed::Cancel(which) => {
                if let Some(bought) = self.some_bought(which) {
                    self.cancel(town, gateway, bought.key()).await;
                }
            }
            Deed::Guard(which) => self.guard(town, which),
            Deed::TellLate(which) => {
                if let Some(bought) = self.some_bought(which) {
                    town.world.payments.tells_late(bought.id());
                }
            }
            Deed::Order { customer, words, twins } => {
                let note = OrderNote { customer, request: job(&[&text(words)]), answers: vec![] };
                let place = self.note_order(note);
                let twins =
                    (0..usize::try_from(twins).unwrap()).map(|twin| self.run(town, gateway + twin, place));
                join_all(twins).await;
            }
            Deed::Repeat(which) => {
                let orders = self.notes.lock().unwrap().orders.len() as u64;
                if let Some(place) = which.checked_rem(orders) {
                    self.run(town, gateway, usize::try_from(place).unwrap()).await;
                }
            }
            Deed::CancelRunning(customer) => self.cancel_running(town, gateway, customer).await,
            Deed::Deposit { customer, msat, beyond } => {
                self.fund(town, gateway, customer, msat, beyond).await
            }
            Deed::Freeze(customer) => drop(self.freeze(town, gateway, customer, true).await),
            Deed::Unfreeze(customer) => drop(self.freeze(town, gateway, customer, false).await),
            Deed::TellAgain(which) => town.world.payments.tells_again(which),
            Deed::Kill(number) => town.kill(number).await,
        }
    }

    /// Asks gateways until one answers, a few times at most. None if none did, or refused.
    async fn ask<T, F>(&self, town: &Town, gateway: usize, call: impl Fn(Line) -> F) -> Option<T>
    where
        F: Future<Output = Option<Result<Response<T>, Status>>>,
    {
        for number in gateway..gateway + TRIES {
            let Some(line) = town.line(number).await else { continue };
            match call(line).await {
                Some(Ok(answer)) => return Some(answer.into_inner()),
                Some(Err(refused)) if EXPECTED.contains(&reason(&refused)) => {}
                Some(Err(refused)) => self.notes.lock().unwrap().odd.push(format!("{refused:?}")),
                // Killed.
                None => {}
            }
        }
        None
    }

    async fn as_customer<T, F>(&self, town: &Town, gateway: usize, call: impl Fn(Accounts) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<Response<T>, Status>> + Send + 'static,
    {
        let call = &call;
        self.ask(town, gateway, |line| async move { line.call(|gateway| call(Accounts(gateway))).await })
            .await
    }

    async fn buy(&self, town: &Town, gateway: usize, words: u64, pays: Payment, cancels: bool) {
        let place = {
            let mut notes = self.notes.lock().unwrap();
            notes.holds.push(HoldNote { request: order(&[&text(words)]), answers: vec![] });
            notes.holds.len() - 1
        };
        let Some(bought) = self.quote(town, gateway, place).await else { return };
        let (payments, price) = (&town.world.payments, bought.0.price_msat);
        match pays {
            Payment::Price => payments.is_paid(bought.id(), price),
            Payment::Beyond(msat) => payments.is_paid(bought.id(), price + msat),
            Payment::Below(msat) => payments.is_paid(bought.id(), price - msat),
            Payment::RunsOut => payments.runs_out(bought.id()),
            Payment::Nothing => false,
        };
        if cancels {
            self.cancel(town, gateway + 1, bought.key()).await;
        }
    }

    /// Asks for a quote, as often as it takes to be noted once more.
    pub async fn quote(&self, town: &Town, gateway: usize, place: usize) -> Option<Bought> {
        let request = self.notes.lock().unwrap().holds[place].request.clone();
        let call = |line: Line| {
            let request = Request::new(request.clone());
            async move { line.call(|gateway| async move { gateway.create_quote(request).await }).await }
        };
        let bought = Bought(self.ask(town, gateway, call).await?);
        self.notes.lock().unwrap().holds[place].answers.push(bought.clone());
        Some(bought)
    }

    fn some_bought(&self, which: u64) -> Option<Bought> {
        let notes = self.notes.lock().unwrap();
        let bought: Vec<&Bought> = notes.holds.iter().filter_map(|hold| hold.answers.first()).collect();
        let place = which.checked_rem(bought.len() as u64)?;
        Some(bought[usize::try_from(place).unwrap()].clone())
    }

    pub async fn cancel(&self, town: &Town, gateway: usize, key: pb::JobKey) {
        self.notes.lock().unwrap().canceled.insert(key.job_id.parse().unwrap());
        let call = |line: Line| {
            let request = Request::new(pb::CancelJobRequest { key: Some(key.clone()) });
            async move { line.call(|gateway| async move { gateway.cancel_job(request).await }).await }
        };
        self.ask(town, gateway, call).await;
    }

    fn guard(&self, town: &Town, which: u64) {
        if let Some(bought) = self.some_bought(which)
            && town.world.payments.is_guarded(bought.id())
        {
            self.notes.lock().unwrap().guarded.insert(bought.id());
        }
    }

    fn note_order(&self, note: OrderNote) -> usize {
        let mut notes = self.notes.lock().unwrap();
        notes.orders.push(note);
        notes.orders.len() - 1
    }

    /// Asks for a job to be run, or for the end that it had. False if there was no answer.
    pub async fn run(&self, town: &Town, gateway: usize, place: usize) -> bool {
        let note = self.notes.lock().unwrap().orders[place].clone();
        let key = &self.customers[note.customer].key;
        let call = |accounts: Accounts| {
            let request = with_key(key, note.request.clone());
            async move { accounts.run_job(request).await }
        };
        let Some(answer) = self.as_customer(town, gateway, call).await else { return false };
        self.notes.lock().unwrap().orders[place].answers.push(answer);
        true
    }

    async fn cancel_running(&self, town: &Town, gateway: usize, customer: usize) {
        let key = &self.customers[customer].key;
        let call = |accounts: Accounts| {
            let request = with_key(key, pb::ListJobsRequest::default());
            async move { accounts.list_jobs(request).await }
        };
        let Some(listed) = self.as_customer(town, gateway, call).await else { return };
        let running = listed.jobs.into_iter().find(|job| job.state() == pb::JobState::Running);
        let Some(running) = running else { return };
        let id: JobId = running.job_id.parse().unwrap();
        let token = Keys::derive(&Master::new([7; 32])).token(id).expose().to_vec();
        self.cancel(town, gateway, pb::JobKey { job_id: running.job_id, job_token: token }).await;
    }

    async fn fund(&self, town: &Town, gateway: usize, customer: usize, msat: u64, beyond: u64) {
        let place = {
            let mut notes = self.notes.lock().unwrap();
            notes.deposits.push(DepositNote { customer, request_id: id(), msat, answers: vec![] });
            notes.deposits.len() - 1
        };
        if let Some(deposit) = self.deposit(town, gateway, place).await {
            town.world.payments.is_paid(deposit.deposit_id.parse().unwrap(), msat + beyond);
        }
    }

    pub async fn deposit(&self, town: &Town, gateway: usize, place: usize) -> Option<pb::Deposit> {
        let note = self.notes.lock().unwrap().deposits[place].clone();
        let key = &self.customers[note.customer].key;
        let call = |accounts: Accounts| {
            let request =
                pb::CreateDepositRequest { request_id: note.request_id.clone(), amount_msat: note.msat };
            let request = with_key(key, request);
            async move { accounts.create_deposit(request).await }
        };
        let deposit = self.as_customer(town, gateway, call).await?.deposit.unwrap();
        self.notes.lock().unwrap().deposits[place].answers.push(deposit.clone());
        Some(deposit)
    }

    pub async fn freeze(&self, town: &Town, gateway: usize, customer: usize, freeze: bool) -> bool {
        let account_id = self.customers[customer].id.to_string();
        let (request_id, note) = (id(), "as the plan has it".to_owned());
        if freeze {
            let request = pb::FreezeAccountRequest { request_id, account_id, note };
            let call = |line: Line| {
                let request = with_key(&operator_key("alice"), request.clone());
                async move { line.call(|it| async move { Admin(it).freeze_account(request).await }).await }
            };
            self.ask(town, gateway, call).await.is_some()
        } else {
            let request = pb::UnfreezeAccountRequest { request_id, account_id, note };
            let call = |line: Line| {
                let request = with_key(&operator_key("alice"), request.clone());
                async move { line.call(|it| async move { Admin(it).unfreeze_account(request).await }).await }
            };
            self.ask(town, gateway, call).await.is_some()
        }
    }

    /// What the limited key may still spend.
    pub(super) async fn key_left(&self, line: &Line) -> Option<u64> {
        let request = with_key(&self.customers[0].key, pb::GetAccountRequest {});
        let call = line.call(|gateway| async move { Accounts(gateway).get_account(request).await });
        call.await?.unwrap().into_inner().key_left_msat
    }
}
