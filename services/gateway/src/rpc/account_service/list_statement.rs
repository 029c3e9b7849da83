//! `ListStatement`: the movements of the balance, in the order of their commits.

use ailayer_primitives::UnixMs;
use ailayer_proto::ailayer::gateway::v1 as pb;

use crate::domain::api_key::Caller;
use crate::domain::ledger::export::StatementLine;
use crate::domain::ledger::{AccountId, Asset};
use crate::rpc::{Answer, Gateway, convert};
use crate::store::ledger::statements::{self, Period};

pub(super) async fn list_statement(
    gateway: &Gateway,
    caller: &Caller,
    request: pb::ListStatementRequest,
) -> Answer<pb::ListStatementResponse> {
    let token = convert::page_token(&request.page_token)?;
    let size = convert::page_size(request.page_size)?;
    let account = AccountId::customer(caller.account, Asset::Btc);
    let period = Period { from: UnixMs(request.from_unix_ms), ..Period::ALL };
    let pool = gateway.jobs.store().pool();
    let listed = statements::lines(pool, account, period, size, token.as_ref()).await?;
    Ok(pb::ListStatementResponse {
        lines: listed.items.iter().map(line).collect(),
        next_page_token: convert::next_page(listed.next.as_ref()),
    })
}

fn line(line: &StatementLine) -> pb::StatementLine {
    pb::StatementLine {
        transaction_id: line.transaction_id.to_string(),
        request_id: line.request_id.to_string(),
        kind: line.kind.as_str().to_owned(),
        amount_msat: line.change_units,
        balance_msat: line.balance_units,
        posted_unix_ms: line.posted_at.0,
        note: line.note.clone(),
    }
}
