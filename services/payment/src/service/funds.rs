//! Whether the node's channels hold what the rows say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use ailayer_platform::clock;
use ailayer_primitives::{AmountMsat, AmountSat, Digest};
use tokio::sync::Mutex;

use crate::domain::channel::UserChannelId;
use crate::domain::funds::{OpenChannel, Range, Seen, held, held_at_close};
use crate::error::ServiceError;
use crate::ports::{LightningNode, NodeError};
use crate::store::Rows;
use crate::store::funds as table;
use crate::store::journal::{self, Journal};

/// How often rows and node are read until they agree: a claim takes a moment to reach the channel.
const TRIES: u32 = 40;
/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The money in one node's channels.
pub struct Funds {
    rows: Rows,
    node: Arc<dyn LightningNode>,
    /// Until this process has seen the node drop an event, the first one may have been counted by a process that died.
    has_dropped: AtomicBool,
    /// One correction at a time: the second would correct what the first has.
    correcting: Mutex<()>,
    verdict: std::sync::Mutex<Verdict>,
}

/// What the last comparison found, as far as payouts ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unknown,
    Agree,
    Differ(i128),
}

/// What was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The rows' sums.
    pub journal: Journal,
    /// What the open channels should hold for us.
    pub expected: Range,
    /// What they hold.
    pub node: Range,
    /// What the node has more than expected, whatever is in motion, millisatoshi. Not 0: a person has to look.
    pub residue_msat: i128,
    /// Funded channels of which the rows know nothing. What they hold is not in `node`.
    pub unknown_channels: u64,
    /// What closed channels will give to the wallet, before fees.
    pub settling: AmountSat,
    /// What is being swept into the wallet, before fees.
    pub sweeping: AmountSat,
}

impl Comparison {
    /// Nothing is left to be explained.
    pub const fn agrees(&self) -> bool {
        self.residue_msat == 0 && self.unknown_channels == 0
    }
}

/// A look at rows and node that belong together.
struct Look {
    comparison: Comparison,
    /// What the channels hold in which nothing is in flight.
    quiet: Vec<(OpenChannel, Seen)>,
    /// Nothing at all is in flight.
    all_quiet: bool,
}

impl Funds {
    /// The funds of one node, and the rows about them.
    pub fn new(rows: Rows, node: Arc<dyn LightningNode>) -> Self {
        Self {
            rows,
            node,
            has_dropped: AtomicBool::new(false),
            correcting: Mutex::default(),
            verdict: std::sync::Mutex::new(Verdict::Unknown),
        }
    }

    /// The node reports a channel whose funding is agreed upon: nothing was paid through it yet. `Ok` means that what it holds is
    /// durable here.
    pub async fn on_pending(&self, id: UserChannelId) -> Result<(), ServiceError> {
        let funds = self.node.funds().await?;
        // Gone again: its close says so, and nothing was ever in it.
        let Some(channel) = funds.open.iter().find(|channel| channel.user_channel_id == id) else {
            return Ok(());
        };
        let commitment = funds.commitments.get(&channel.channel_id).copied().unwrap_or_default();
        let held = held(channel, &commitment).max;
        table::record_opened(&self.rows, channel, amount(held)?, clock::now_ms()).await?;
        Ok(())
    }

    /// The node reports a closed channel. `Ok` means that what it held is durable here.
    pub async fn on_closed(&self, id: UserChannelId) -> Result<(), ServiceError> {
        let Some(known) = table::find(&self.rows, id).await? else { return Ok(()) };
        if known.closed {
            return Ok(());
        }
        let (channel_id, size) = known.channel;
        let held = if known.was_ready {
            let funds = self.node.funds().await?;
            let settling = funds.settling.get(&channel_id).copied().unwrap_or(AmountSat::ZERO);
            held_at_close(size, known.outbound, known.seen, funds.commitments.get(&channel_id), settling)
        } else {
            Range::exactly(i128::from(known.opened.msat()))
        };
        tracing::warn!(user_channel_id = %id.0, at_least_msat = %held.min, at_most_msat = %held.max, "held at its close");
        table::record_closed(&self.rows, id, held, clock::now_ms()).await?;
        Ok(())
    }

    /// The node has forwarded a payment of others. `Ok` means that what it earned is durable here.
    pub async fn on_forwarded(&self, fee: AmountMsat, fingerprint: Digest) -> Result<(), ServiceError> {
        let again = !self.has_dropped.load(Ordering::Acquire);
        table::record_forwarded(&self.rows, fee, fingerprint, again).await?;
        Ok(())
    }

    /// The node has dropped an event that was handled.
    pub async fn on_dropped(&self, was_forwarded: bool) -> Result<(), ServiceError> {
        let first = !self.has_dropped.swap(true, Ordering::AcqRel);
        if first || was_forwarded {
            table::forget_forwarded(&self.rows).await?;
        }
        Ok(())
    }

    /// Compares rows and node, again and again for some 4 s while they differ: what is in motion settles.
    ///
    /// # Errors
    /// `NeverQuiet` if there was no moment at which the rows stood still and no event waited.
    pub async fn compare(&self) -> Result<Comparison, ServiceError> {
        let mut last = None;
        for _ in 0..TRIES {
            match self.look_once_begun().await? {
                Some(look) if look.comparison.agrees() => {
                    self.judge(&look.comparison);
                    return Ok(look.comparison);
                }
                Some(look) => last = Some(look.comparison),
                None => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        let last = last.ok_or(ServiceError::NeverQuiet)?;
        self.judge(&last);
        Ok(last)
    }

    /// Notes what payouts go by until the next verdict. A difference that settles by itself must not get here.
    pub fn judge(&self, found: &Comparison) {
        let verdict = if found.agrees() { Verdict::Agree } else { Verdict::Differ(found.residue_msat) };
        let before = std::mem::replace(&mut *self.lock_verdict(), verdict);
        if before != verdict {
            let (residue_msat, unknown_channels) = (found.residue_msat, found.unknown_channels);
            match verdict {
                Verdict::Differ(_) => tracing::error!(
                    %residue_msat,
                    unknown_channels,
                    "the node's channels do not hold what the rows say"
                ),
                _ => tracing::info!("the node's channels hold what the rows say"),
            }
        }
    }

    /// Whether money may leave. Compares first if that was not done since the start.
    ///
    /// # Errors
    /// `FundsDiffer` while the node's channels do not hold what the rows say, as behind a restore from an older backup; `NeverQuiet` if
    /// that cannot be said yet.
    pub async fn may_let_out(&self) -> Result<(), ServiceError> {
        let known = *self.lock_verdict();
        let residue_msat = match known {
            Verdict::Agree => return Ok(()),
            Verdict::Differ(residue_msat) => residue_msat,
            Verdict::Unknown => match self.compare().await? {
                compared if compared.agrees() => return Ok(()),
                compared => compared.residue_msat,
            },
        };
        Err(ServiceError::FundsDiffer(residue_msat))
    }

    fn lock_verdict(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks once: begins the comparison if it has not begun, and remembers what quiet channels hold. `None` while the rows move,
    /// an event waits, or the comparison cannot begin yet.
    pub async fn observe(&self) -> Result<Option<Comparison>, ServiceError> {
        let Some(look) = self.look_once_begun().await? else { return Ok(None) };
        // A peer that hangs between two messages can leave manager and monitor apart: what does not add up is not remembered.
        if !look.comparison.agrees() {
            return Ok(Some(look.comparison));
        }
        let seen: Vec<_> =
            look.quiet.iter().map(|(channel, seen)| (channel.user_channel_id, *seen)).collect();
        table::record_seen(&self.rows, &seen).await?;
        Ok(Some(look.comparison))
    }

    /// Begins the comparison if that was never done, and looks.
    async fn look_once_begun(&self) -> Result<Option<Look>, ServiceError> {
        if !table::has_begun(&self.rows).await? {
            self.begin().await?;
        }
        if table::has_begun(&self.rows).await? { self.look().await } else { Ok(None) }
    }

    /// An operator accepts what nothing explains, after having found out: the books agree from then on, and channels of which the rows
    /// know nothing are taken in with what they hold.
    ///
    /// # Errors
    /// `OtherResidue` unless exactly `residue_msat` is found now, with nothing in flight; `NeverQuiet` if there was no moment to look.
    pub async fn accept(&self, residue_msat: i64, note: &str) -> Result<(), ServiceError> {
        let _one = self.correcting.lock().await;
        let mut found = None;
        for _ in 0..TRIES {
            if let Some(look) = self.look().await?.filter(|look| look.all_quiet) {
                if look.comparison.residue_msat == i128::from(residue_msat) && !look.comparison.agrees() {
                    return self.correct(&look, residue_msat, note).await;
                }
                found = Some(look.comparison.residue_msat);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(found.map_or(ServiceError::NeverQuiet, ServiceError::OtherResidue))
    }

    /// The books begin as they are found: with 0 where nothing was before.
    async fn begin(&self) -> Result<(), ServiceError> {
        let _one = self.correcting.lock().await;
        let Some(look) = self.look().await?.filter(|look| look.all_quiet) else { return Ok(()) };
        if table::has_begun(&self.rows).await? {
            return Ok(());
        }
        let unexplained = look.comparison.node.max - look.comparison.expected.max;
        let msat = i64::try_from(unexplained).map_err(|error| NodeError::Failed(error.into()))?;
        self.correct(&look, msat, "the books begin").await
    }

    async fn correct(&self, look: &Look, msat: i64, note: &str) -> Result<(), ServiceError> {
        let known = table::open_channels(&self.rows).await?;
        let unknown = look.quiet.iter().filter(|(channel, _)| !known.contains(&channel.user_channel_id));
        let taken_in: Vec<_> = unknown.map(|(channel, seen)| (*channel, seen.held)).collect();
        table::correct(&self.rows, &taken_in, msat, note, clock::now_ms()).await?;
        *self.lock_verdict() = Verdict::Unknown;
        if msat != 0 || !taken_in.is_empty() {
            tracing::warn!(msat, channels = taken_in.len(), note, "books of the node's channels corrected");
        }
        Ok(())
    }

    async fn look(&self) -> Result<Option<Look>, ServiceError> {
        let journal = journal::read(&self.rows).await?;
        let known = table::open_channels(&self.rows).await?;
        let funds = self.node.funds().await?;
        if self.node.has_event() || journal::read(&self.rows).await? != journal {
            return Ok(None);
        }
        let (mut node, mut unknown_channels, mut all_quiet) = (Range::default(), 0_u64, true);
        let mut quiet = Vec::new();
        for channel in &funds.open {
            // Without one the peer has not signed yet, and nobody's money is in it.
            let Some(commitment) = funds.commitments.get(&channel.channel_id) else { continue };
            let held = held(channel, commitment);
            if known.contains(&channel.user_channel_id) {
                node = node.plus(held);
            } else {
                unknown_channels += 1;
            }
            if commitment.is_quiet() {
                quiet.push((*channel, Seen { held: amount(held.max)?, to_self: commitment.to_self }));
            } else {
                all_quiet = false;
            }
        }
        // The node may have taken what it was told to take, and not have said so yet.
        let claiming = i128::from(journal.claim_requested_msat);
        node.min -= claiming;
        let expected = journal.expected_in_channels();
        let total = |sats: &BTreeMap<_, AmountSat>| {
            sats.values().try_fold(AmountSat::ZERO, |sum, sat| sum.checked_add(*sat))
        };
        let settling = total(&funds.settling).map_err(|error| NodeError::Failed(error.into()))?;
        let comparison = Comparison {
            journal,
            expected,
            node,
            residue_msat: node.beyond(expected),
            unknown_channels,
            settling,
            sweeping: funds.sweeping,
        };
        Ok(Some(Look { comparison, quiet, all_quiet: all_quiet && claiming == 0 }))
    }
}

fn amount(msat: i128) -> Result<AmountMsat, NodeError> {
    let msat = u64::try_from(msat.max(0)).map_err(|error| NodeError::Failed(error.into()))?;
    AmountMsat::try_new(msat).map_err(|error| NodeError::Failed(error.into()))
}
