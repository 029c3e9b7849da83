//! The ledger's tables.
//!
//! | module | what it does |
//! |---|---|
//! | [`batch`] | applies operations in a transaction of the caller's |
//! | [`recall`] | what a writer wrote last, so that its next batch need not ask first |
//! | [`accounts`] | opens accounts, reads them |
//! | [`reservations`] | finds what has expired |
//! | [`statements`] | the lines of one account, page by page, and as a file |
//! | [`transactions`] | the list of all transactions |
//! | [`audit`] | trial balance, and whether the tables agree with each other |

pub mod accounts;
pub mod audit;
pub mod batch;
mod locked;
pub mod recall;
pub mod reservations;
pub mod statements;
pub mod transactions;
mod write;

pub use batch::{
    Applied, Decision, Submission, apply_in_tx, apply_locked_in_tx, apply_one_in_tx, write_recalled,
};
pub use recall::Recall;

use ailayer_store::{Store, StoreError, Tx};

/// Plans are kept for the life of a connection, and the first is made while the tables are empty: never one that reads them
/// whole, neither here nor where it is looked for what is due. Compiling a plan would take longer than a batch. So would making it
/// anew for each: left to choose, the server does that for the short arrays of a small batch, because it takes an array that it
/// does not see yet for a longer one.
///
/// Of a connection that does nothing else.
pub const SETTINGS: [(&str, &str); 5] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// [`SETTINGS`] for one transaction.
const BEGIN: &str = "begin; set local enable_seqscan = off; set local enable_hashjoin = off;
    set local enable_mergejoin = off; set local jit = off; set local plan_cache_mode = force_generic_plan";

/// Begins a transaction that is fit for [`apply_in_tx`], and for whatever else finds its rows by indexes: in another one it works the
/// same, and may be slow.
///
/// # Errors
/// `Unavailable` when there is no connection.
pub async fn begin(store: &Store) -> Result<Tx, StoreError> {
    store.begin_with(BEGIN).await
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, SETTINGS};

    #[test]
    fn a_transaction_has_the_settings_of_the_writers_connections() {
        for (name, value) in SETTINGS {
            assert!(BEGIN.contains(&format!("set local {name} = {value}")), "{name}");
        }
        assert_eq!(BEGIN.matches("set local").count(), SETTINGS.len());
    }
}
