//! Whether the node's channels hold what the rows say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ailayer_platform::clock;
use ailayer_primitives::{AmountMsat, AmountSat, Digest};
use tokio::sync::Mutex;

use crate::domain::channel::UserChannelId;
use crate::domain::funds::{Closing, OpenChannel, Range, Seen, Settling, held, held_at_close};
use crate::error::ServiceError;
use crate::ports::{LightningNode, NodeError};
use crate::store::Rows;
use crate::store::funds as table;
use crate::store::journal::{self, Journal};

/// How often rows and node are read until they agree: a claim takes a moment to reach the channel.
const TRIES: u32 = 40;
/// How many of these, the last ones, make do with a node in motion: a peer that is away leaves a payment where it is for as long as it likes.
const TRIES_IN_MOTION: u32 = 10;
/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// How long it counts that the books were found to agree.
const VERDICT_AGE: Duration = Duration::from_secs(120);
/// How long the books of a node in use must look alike before they begin.
const SETTLED: Duration = Duration::from_secs(5);

/// The money in one node's channels.
pub struct Funds {
    rows: Rows,
    node: Arc<dyn LightningNode>,
    /// The first event that this process sees dropped may have been counted by one that died.
    has_dropped: AtomicBool,
    /// One correction at a time: the second would correct what the first has.
    /// Whoever writes a channel's row takes turns with it, too. Holds what was found before the books began, and since when.
    correcting: Mutex<Option<(i128, Instant)>>,
    verdict: std::sync::Mutex<Verdict>,
}

/// What the last comparison found, as far as payouts ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unknown,
    /// Good for [`VERDICT_AGE`]: who cannot look for longer does not know.
    Agree(Instant),
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
    /// The channels of which the rows know nothing, and what they hold.
    unknown: Vec<(OpenChannel, AmountMsat)>,
    /// Nothing is on its way out, and nothing is being claimed: what the channels hold is one amount.
    is_exact: bool,
}

impl Look {
    /// What the known channels hold more than the rows explain, closed ones taken for what they held at least.
    const fn unexplained(&self) -> i128 {
        self.comparison.node.max - self.comparison.expected.max
    }
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
        let _one = self.correcting.lock().await;
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
        // A correction that takes the channel in must not come between the look-up and the close.
        let _one = self.correcting.lock().await;
        let Some(known) = table::find(&self.rows, id).await? else { return Ok(()) };
        if known.closed {
            return Ok(());
        }
        // One that was taken in has no event of its being ready, but it has been seen.
        let unused = !known.was_ready && known.seen.is_none_or(|seen| seen.held == known.opened);
        let held = if unused {
            Range::exactly(i128::from(known.opened.msat()))
        } else {
            let funds = self.node.funds().await?;
            let closing = Closing {
                amount: known.amount,
                outbound: known.outbound,
                seen: known.seen,
                moved: known.moved,
            };
            let (commitment, settling) =
                (funds.commitments.get(&known.channel_id), funds.settling.get(&known.channel_id));
            held_at_close(closing, commitment, settling)
        };
        tracing::warn!(user_channel_id = %id.0, at_least_msat = %held.min, at_most_msat = %held.max, "held at its close");
        table::record_closed(&self.rows, id, held, clock::now_ms()).await?;
        Ok(())
    }

    /// The node has forwarded a payment of others. `Ok` means that what it earned is durable here.
    pub async fn on_forwarded(&self, fee: AmountMsat, fingerprint: Digest) -> Result<(), ServiceError> {
        table::record_forwarded(&self.rows, fee, fingerprint).await?;
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
        let (residue_msat, unknown_channels) = (found.residue_msat, found.unknown_channels);
        let verdict =
            if found.agrees() { Verdict::Agree(Instant::now()) } else { Verdict::Differ(residue_msat) };
        let before = std::mem::replace(&mut *self.lock_verdict(), verdict);
        match (before, verdict) {
            (before, Verdict::Differ(_)) if before != verdict => {
                tracing::error!(%residue_msat, unknown_channels, "the node's channels do not hold what the rows say");
            }
            (Verdict::Differ(_), Verdict::Agree(_)) => {
                tracing::info!("the node's channels hold what the rows say");
            }
            _ => {}
        }
    }

    /// Whether money may leave. Compares first if that was not done since the start, or not for [`VERDICT_AGE`].
    ///
    /// # Errors
    /// `FundsDiffer` while the node's channels do not hold what the rows say, as behind a restore from an older backup; `NeverQuiet` if
    /// that cannot be said yet.
    pub async fn may_let_out(&self) -> Result<(), ServiceError> {
        let known = *self.lock_verdict();
        let residue_msat = match known {
            Verdict::Agree(at) if at.elapsed() < VERDICT_AGE => return Ok(()),
            Verdict::Differ(residue_msat) => residue_msat,
            Verdict::Unknown | Verdict::Agree(_) => match self.compare().await? {
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
        table::record_seen(&self.rows, &seen, clock::now_ms()).await?;
        Ok(Some(look.comparison))
    }

    /// Begins the comparison if that was never done, and looks.
    async fn look_once_begun(&self) -> Result<Option<Look>, ServiceError> {
        if !table::has_begun(&self.rows).await? {
            self.begin().await?;
        }
        if table::has_begun(&self.rows).await? { self.look().await } else { Ok(None) }
    }

    /// An operator accepts what nothing explains, after having found out: the books agree from then on. Channels of which the rows know
    /// nothing are taken in with what they hold, and what was expected only between two bounds is one amount again.
    ///
    /// Waits some 3 s for a moment with nothing on its way out and nothing being claimed. Behind that it corrects by the residue alone, if there
    /// are no channels to take in, which cannot be read exactly then: what the motion hides shows once it has ended, and the bounds stay.
    ///
    /// # Errors
    /// `OtherResidue` unless exactly `residue_msat` is found now and there is something to accept; `NeverQuiet` if there was no moment
    /// at which the rows stood still and no event waited, or if something was in motion all the time and there are only bounds to settle, or
    /// channels to take in.
    pub async fn accept(&self, residue_msat: i64, note: &str) -> Result<(), ServiceError> {
        let mut found = None;
        for left in (0..TRIES).rev() {
            let one = self.correcting.lock().await;
            if let Some(look) = self.look().await? {
                let Comparison { expected, residue_msat: now, .. } = look.comparison;
                let (is_asked, is_exact) = (now == i128::from(residue_msat), look.is_exact);
                let (has_bounds, agrees) = (expected.min != expected.max, look.comparison.agrees());
                if is_asked && is_exact && (has_bounds || !agrees) {
                    return self.correct(&look, look.unexplained(), note).await;
                }
                if is_asked && !agrees && look.unknown.is_empty() && left < TRIES_IN_MOTION {
                    return self.correct(&look, now, note).await;
                }
                let waits_for_rest = is_asked && !is_exact && (has_bounds || !agrees);
                found = (!waits_for_rest).then_some(now);
            }
            drop(one);
            tokio::time::sleep(PAUSE).await;
        }
        Err(found.map_or(ServiceError::NeverQuiet, ServiceError::OtherResidue))
    }

    /// The books begin as they are found: with 0 where nothing was before. Where something was, they have to be found alike for
    /// [`SETTLED`]: a node that has just started tells again what it has told before.
    async fn begin(&self) -> Result<(), ServiceError> {
        let mut first = self.correcting.lock().await;
        let Some(look) = self.look().await?.filter(|look| look.is_exact) else { return Ok(()) };
        if table::has_begun(&self.rows).await? {
            return Ok(());
        }
        let found = look.unexplained();
        let is_new = found == 0 && look.unknown.is_empty();
        let since =
            first.filter(|(before, _)| *before == found).map_or_else(Instant::now, |(_, since)| since);
        *first = Some((found, since));
        if is_new || since.elapsed() >= SETTLED {
            self.correct(&look, found, "the books begin").await?;
        }
        Ok(())
    }

    async fn correct(&self, look: &Look, msat: i128, note: &str) -> Result<(), ServiceError> {
        let msat = i64::try_from(msat).map_err(|error| NodeError::Failed(error.into()))?;
        let taken_in = &look.unknown;
        let correction = table::Correction { taken_in, msat, settles_bounds: look.is_exact, note };
        table::correct(&self.rows, &correction, clock::now_ms()).await?;
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
        let (mut node, mut is_exact) = (Range::default(), true);
        let (mut unknown, mut quiet) = (Vec::new(), Vec::new());
        for channel in &funds.open {
            // Without one the peer has not signed yet, and nobody's money is in it.
            let Some(commitment) = funds.commitments.get(&channel.channel_id) else { continue };
            let held = held(channel, commitment);
            if known.contains(&channel.user_channel_id) {
                node = node.plus(held);
            } else {
                unknown.push((*channel, amount(held.max)?));
            }
            is_exact &= held.min == held.max && commitment.claiming == AmountMsat::ZERO;
            if held.min == held.max && commitment.is_quiet() {
                quiet.push((*channel, Seen { held: amount(held.max)?, to_self: commitment.to_self }));
            }
        }
        // The node may have taken what it was told to take, and not have said so yet.
        let claiming = i128::from(journal.claim_requested_msat);
        node.min -= claiming;
        let expected = journal.expected_in_channels();
        let total = |part: fn(&Settling) -> AmountSat| {
            let sum = funds.settling.values().map(part).try_fold(AmountSat::ZERO, AmountSat::checked_add);
            sum.map_err(|error| NodeError::Failed(error.into()))
        };
        let comparison = Comparison {
            journal,
            expected,
            node,
            residue_msat: node.beyond(expected),
            unknown_channels: u64::try_from(unknown.len()).unwrap_or(u64::MAX),
            settling: total(|left| left.to_wallet)?,
            sweeping: total(|left| left.sweeping)?,
        };
        Ok(Some(Look { comparison, quiet, unknown, is_exact: is_exact && claiming == 0 }))
    }
}

fn amount(msat: i128) -> Result<AmountMsat, NodeError> {
    let msat = u64::try_from(msat.max(0)).map_err(|error| NodeError::Failed(error.into()))?;
    AmountMsat::try_new(msat).map_err(|error| NodeError::Failed(error.into()))
}
