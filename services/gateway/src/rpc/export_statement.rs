//! `ExportStatement`, `ExportAccountStatement`: the movements of a balance as a file, page by page.

use ailayer_client::ErrorReason;
use ailayer_platform::error::Failure;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::UnixMs;
use ailayer_proto::ailayer::gateway::v1 as pb;
use futures::stream::{self, BoxStream, StreamExt as _};
use tonic::Status;
use uuid::Uuid;

use super::{Answer, Gateway, convert};
use crate::domain::api_key::Caller;
use crate::domain::ledger::export::Format;
use crate::domain::ledger::{AccountId, Asset, CustomerId};
use crate::error::{AccountError, JobError};
use crate::places::Place;
use crate::store::accounts;
use crate::store::ledger::accounts::ListError;
use crate::store::ledger::statements::{self, Period};

/// Files of one account at once: whoever does not read what it asks for keeps nobody else from it.
const OF_AN_ACCOUNT: usize = 2;
/// Of all operators, whose files are not among a customer's own.
const OF_OPERATORS: usize = 8;
const OPERATORS: Uuid = Uuid::nil();

pub(super) type Parts<T> = BoxStream<'static, Result<T, Status>>;

/// Of the caller's own account.
pub(super) fn of_caller(
    gateway: &Gateway,
    caller: &Caller,
    request: &pb::ExportStatementRequest,
) -> Answer<Parts<pb::ExportStatementResponse>> {
    let period = period(request.from_unix_ms, request.until_unix_ms)?;
    let place = place(gateway, caller.account.uuid(), OF_AN_ACCOUNT)?;
    let parts = parts(gateway, caller.account, period, format(request.format)?, place);
    Ok(parts.map(|text| Ok(pb::ExportStatementResponse { text: text? })).boxed())
}

/// Of any account, for operators.
pub(super) async fn of_account(
    gateway: &Gateway,
    operator: &str,
    request: pb::ExportAccountStatementRequest,
) -> Answer<Parts<pb::ExportAccountStatementResponse>> {
    let account = CustomerId::new(convert::id(&request.account_id));
    let period = period(request.from_unix_ms, request.until_unix_ms)?;
    let format = format(request.format)?;
    let found = accounts::by_id(gateway.jobs.store().pool(), account).await?;
    found.ok_or(AccountError::NoAccount)?;
    tracing::info!(account_id = %account, operator, "statement exported");
    let parts = parts(gateway, account, period, format, place(gateway, OPERATORS, OF_OPERATORS)?);
    Ok(parts.map(|text| Ok(pb::ExportAccountStatementResponse { text: text? })).boxed())
}

/// One file on its way. Holds one of the places that open streams have.
struct Export {
    pages: BoxStream<'static, Result<String, ListError>>,
    shutdown: Shutdown,
    _place: Place,
}

fn parts(
    gateway: &Gateway,
    account: CustomerId,
    period: Period,
    format: Format,
    place: Place,
) -> Parts<String> {
    let pool = gateway.jobs.store().pool().clone();
    let pages = statements::export(pool, AccountId::customer(account, Asset::Btc), period, format).boxed();
    let export = Export { pages, shutdown: gateway.shutdown.clone(), _place: place };
    let parts = stream::unfold(Some(export), |export| async move {
        let mut export = export?;
        let part = export.next().await?;
        let goes_on = part.is_ok();
        Some((part.map_err(Status::from), goes_on.then_some(export)))
    });
    parts.boxed()
}

fn place(gateway: &Gateway, owner: Uuid, share: usize) -> Result<Place, Failure> {
    Ok(gateway.places.take(owner, share).map_err(JobError::TooManyStreams)?)
}

impl Export {
    /// The next part; none at the end of the file. Whoever is cut off is told.
    async fn next(&mut self) -> Option<Result<String, Failure>> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => {
                let why = "the gateway is going down; export again";
                Some(Err(Failure::new(ErrorReason::ShuttingDown, why)))
            }
            page = self.pages.next() => page.map(|text| text.map_err(|error| AccountError::from(error).into())),
        }
    }
}

fn period(from_unix_ms: u64, until_unix_ms: u64) -> Result<Period, Failure> {
    if until_unix_ms != 0 && until_unix_ms <= from_unix_ms {
        return Err(Failure::invalid_field("until_unix_ms", "must be behind from_unix_ms, or 0"));
    }
    let until = if until_unix_ms == 0 { Period::ALL.until } else { UnixMs(until_unix_ms) };
    Ok(Period { from: UnixMs(from_unix_ms), until })
}

fn format(format: i32) -> Result<Format, Failure> {
    match pb::StatementFormat::try_from(format) {
        Ok(pb::StatementFormat::Unspecified | pb::StatementFormat::Csv) => Ok(Format::Csv),
        Ok(pb::StatementFormat::JsonLines) => Ok(Format::JsonLines),
        Err(_) => Err(Failure::invalid_field("format", "must be one of the named formats")),
    }
}
