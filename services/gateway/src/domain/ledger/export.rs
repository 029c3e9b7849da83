//! Statements, and their lines as CSV (RFC 4180) and as JSON lines.

use ailayer_primitives::{RequestId, UnixMs};
use serde::Serialize;

use super::account::AccountId;
use super::operation::Kind;
use super::verdict::TransactionId;

/// An account over a period. Balances are on the account's own side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// Which account.
    pub account: AccountId,
    /// What it held before the first line.
    pub opening_units: i64,
    /// What it held behind the last.
    pub closing_units: i64,
}

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLine {
    /// Place in the account: rising, with gaps where an operation moved no balance.
    pub version: u64,
    /// When.
    pub posted_at: UnixMs,
    /// The transaction it belongs to.
    pub transaction_id: TransactionId,
    /// What kind that was.
    pub kind: Kind,
    /// Whose request that was.
    pub request_id: RequestId,
    /// What the balance changed by.
    pub change_units: i64,
    /// The balance behind it.
    pub balance_units: i64,
    /// The remark.
    pub note: String,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// With a head, every text quoted.
    Csv,
    /// One object a line.
    JsonLines,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    account: String,
    version: u64,
    posted_unix_ms: u64,
    transaction_id: String,
    kind: &'static str,
    request_id: String,
    /// As texts: a JSON number loses what is beyond 53 bits in many readers.
    change_units: String,
    balance_units: String,
    note: &'a str,
}

impl Format {
    /// What stands before the first line.
    pub const fn head(self) -> &'static str {
        match self {
            Self::Csv => {
                "account,version,posted_unix_ms,transaction_id,kind,request_id,change_units,balance_units,note\r\n"
            }
            Self::JsonLines => "",
        }
    }

    /// One line with its end.
    pub fn line(self, account: AccountId, line: &StatementLine) -> String {
        match self {
            Self::Csv => format!(
                "{account},{},{},{},{},{},{},{},\"{}\"\r\n",
                line.version,
                line.posted_at.0,
                line.transaction_id,
                line.kind.as_str(),
                line.request_id,
                line.change_units,
                line.balance_units,
                line.note.replace('"', "\"\"")
            ),
            Self::JsonLines => {
                let object = JsonLine {
                    account: account.to_string(),
                    version: line.version,
                    posted_unix_ms: line.posted_at.0,
                    transaction_id: line.transaction_id.to_string(),
                    kind: line.kind.as_str(),
                    request_id: line.request_id.to_string(),
                    change_units: line.change_units.to_string(),
                    balance_units: line.balance_units.to_string(),
                    note: &line.note,
                };
                // An object of texts and numbers always has a JSON form.
                serde_json::to_string(&object).unwrap_or_default() + "\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::{Asset, CustomerId};
    use uuid::Uuid;

    #[test]
    fn notes_cannot_break_out_of_their_field() {
        let account = AccountId::customer(CustomerId::new(Uuid::from_u128(1)), Asset::Btc);
        let line = StatementLine {
            version: 3,
            posted_at: UnixMs(5),
            transaction_id: TransactionId::new(Uuid::from_u128(2)),
            kind: Kind::Credit,
            request_id: RequestId::new(Uuid::from_u128(4)),
            change_units: i64::MAX,
            balance_units: -1,
            note: "a \"b\", c".to_owned(),
        };
        let csv = Format::Csv.line(account, &line);
        assert!(csv.ends_with(",9223372036854775807,-1,\"a \"\"b\"\", c\"\r\n"), "{csv}");
        let json: serde_json::Value = serde_json::from_str(&Format::JsonLines.line(account, &line)).unwrap();
        assert_eq!(
            (&json["note"], &json["change_units"]),
            (&line.note.into(), &"9223372036854775807".into())
        );
    }
}
