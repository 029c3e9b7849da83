//! What every account must hold, reckoned from how jobs and deposits ended and from nothing in the ledger.

use std::collections::BTreeMap;

use ailayer_client::payment::HoldInvoiceState;
use ailayer_gateway::domain::job::State;
use uuid::Uuid;

use super::{Seen, must};
use crate::settlement::buyers::KEY_LIMIT;
use crate::settlement::found::Found;

#[derive(Default)]
struct Books {
    customers: BTreeMap<Uuid, i64>,
    lightning: i64,
    revenue: i64,
    suspense: i64,
    write_off: i64,
}

pub fn check(seen: &Seen, found: &Found, wrong: &mut Vec<String>) {
    let books = reckon(seen, found);
    for (customer, balance) in &books.customers {
        let held = found.customers.get(customer).copied();
        must(wrong, held == Some((*balance, 0)), || {
            format!("customer {customer} should have {balance} and nothing reserved, and has {held:?}")
        });
    }
    for (kind, balance) in &found.house {
        let expected = match *kind {
            "asset:lightning" => books.lightning,
            "revenue:inference" => books.revenue,
            "liability:suspense" => books.suspense,
            "expense:write_off" => books.write_off,
            _ => 0,
        };
        must(wrong, *balance == expected, || format!("{kind} should have {expected}, and has {balance}"));
    }
    let (limited, _) = seen.customers[0];
    let spent: i64 = of_customer(found, limited.uuid());
    let left = KEY_LIMIT - spent.unsigned_abs();
    must(wrong, seen.key_left_msat == Some(left), || {
        format!("the key may still spend {left}, and is told {:?}", seen.key_left_msat)
    });
}

fn of_customer(found: &Found, customer: Uuid) -> i64 {
    let jobs = found.jobs.values().filter(|job| job.state == State::Settled);
    jobs.filter(|job| job.account.is_some_and(|it| it.uuid() == customer)).filter_map(|job| job.charge).sum()
}

fn reckon(seen: &Seen, found: &Found) -> Books {
    let mut books = Books::default();
    for (customer, funds) in &seen.customers {
        let charged = of_customer(found, customer.uuid());
        books.customers.insert(customer.uuid(), funds - charged);
        books.write_off += funds;
        books.revenue += charged;
    }
    for (id, job) in found.jobs.iter().filter(|(_, job)| job.account.is_none()) {
        match job.state {
            // What the node says that it has, not what the row says.
            State::Settled => {
                let taken = seen.invoices.get(id).map_or(0, |invoice| invoice.accepted_amount.to_i64());
                books.lightning += taken;
                books.revenue += job.price;
                books.suspense += taken - job.price;
            }
            State::Lost => {
                books.write_off += job.price;
                books.revenue += job.price;
            }
            _ => {}
        }
    }
    for (note, id) in seen.deposits.iter().map(|note| (note, note.answers[0].deposit_id.parse().unwrap())) {
        let Some(invoice) = seen.invoices.get(&id).filter(|it| it.state == HoldInvoiceState::Claimed) else {
            continue;
        };
        let (asked, taken) = (i64::try_from(note.msat).unwrap(), invoice.accepted_amount.to_i64());
        let (customer, _) = seen.customers[note.customer];
        *books.customers.entry(customer.uuid()).or_default() += asked;
        books.lightning += taken;
        books.suspense += taken - asked;
    }
    books
}
