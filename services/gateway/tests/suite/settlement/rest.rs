//! Everything works again; every request is repeated until it has its end, and nothing is left that moves.

use std::time::{Duration, Instant};

use ailayer_client::payment::HoldInvoiceState;
use ailayer_store::{inbox, outbox};

use super::buyers::Buyers;
use super::plan::CUSTOMERS;
use super::town::Town;

/// How long that may take on a machine under load.
const PATIENCE: Duration = Duration::from_secs(40);

/// What may still move, by name.
const MOVING: &str = "select
    (select count(*) from jobs where state not in ('SETTLED', 'LOST', 'FAILED', 'CANCELED', 'EXPIRED')),
    (select count(*) from deposits where state = 'TAKING'),
    (select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and state <> 'idle' and backend_type = 'client backend')";

pub async fn come_to_rest(town: &Town, buyers: &Buyers) {
    for customer in 0..CUSTOMERS {
        let ask = async |gateway| buyers.freeze(town, gateway, customer, false).await;
        asked_until(town, "unfreezing", ask).await;
    }
    let (holds, orders, deposits) = {
        let notes = buyers.notes.lock().unwrap();
        (notes.holds.len(), notes.orders.len(), notes.deposits.len())
    };
    for place in 0..holds {
        let answered = !buyers.notes.lock().unwrap().holds[place].answers.is_empty();
        // Asked for once more in any case; a quote that has ended may be refused by then.
        let ask = async |gateway| buyers.quote(town, gateway, place).await.is_some() || answered;
        asked_until(town, "a quote", ask).await;
    }
    for place in 0..deposits {
        let ask = async |gateway| buyers.deposit(town, gateway, place).await.is_some();
        asked_until(town, "a deposit", ask).await;
    }
    end_open_quotes(town, buyers).await;
    for place in 0..orders {
        // Refused for want of money is an end, too.
        buyers.run(town, place, place).await;
    }
    still(town).await;
}

async fn asked_until(town: &Town, what: &str, ask: impl AsyncFn(usize) -> bool) {
    let since = Instant::now();
    let mut gateway = 0;
    while !ask(gateway).await {
        assert!(since.elapsed() < PATIENCE, "seed {}: {what} has no answer", town.seed);
        gateway += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Who has not paid by now gives up, or lets the invoice run out.
async fn end_open_quotes(town: &Town, buyers: &Buyers) {
    let bought: Vec<_> = {
        let notes = buyers.notes.lock().unwrap();
        notes.holds.iter().filter_map(|hold| hold.answers.first().cloned()).collect()
    };
    let open = town.world.payments.in_state(HoldInvoiceState::Open);
    for (place, bought) in bought.into_iter().filter(|it| open.contains(&it.id())).enumerate() {
        if place % 2 == 0 {
            buyers.cancel(town, place, bought.key()).await;
        } else {
            town.world.payments.runs_out(bought.id());
        }
    }
}

async fn still(town: &Town) {
    let (since, pool) = (Instant::now(), town.world.store.pool());
    loop {
        let (jobs, deposits, statements): (i64, i64, i64) =
            sqlx::query_as(MOVING).fetch_one(pool).await.unwrap();
        let taken_in = inbox::cursor(pool, "payment").await.unwrap();
        let events = town.world.payments.head() - taken_in;
        let closings = outbox::depth(pool).await.unwrap();
        let left = (jobs, deposits, statements, events, closings);
        if left == (0, 0, 0, 0, 0) {
            return;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "seed {}: it does not come to rest: (jobs, deposits, statements, events, closings) {left:?}",
            town.seed
        );
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
