//! Heights become proofs, or nothing.

use futures::stream::{StreamExt as _, TryStreamExt as _};

use super::{Answer, CALLS_IN_FLIGHT, Located, Proof, VerifiedTransaction, Verifier};
use crate::domain::block::ChainHeader;
use crate::error::LookupError;
use crate::store::Snapshot;

/// What one look at server and chain gave.
pub(super) struct Round {
    pub(super) answer: Answer,
    /// Transactions in blocks above our tip. They are in `answer`, as unconfirmed.
    pub(super) ahead: usize,
    /// A transaction that has no proof in the block the server named.
    pub(super) unproved: Option<LookupError>,
}

/// What became of one transaction.
enum Verdict {
    Unconfirmed,
    Ahead,
    Proved(Proof),
    Unproved(LookupError),
}

impl Verifier {
    /// Proves transactions against the chain as it is at one moment.
    pub(super) async fn prove(&self, located: Vec<Located>) -> Result<Round, LookupError> {
        let heights: Vec<u32> = located.iter().filter_map(|located| located.height).collect();
        let snapshot = self.store.snapshot(&heights).await?.ok_or(LookupError::NotSynced)?;
        let seen = &snapshot;
        let verdicts: Vec<(Located, Verdict)> = futures::stream::iter(located)
            .map(|located| async move {
                let verdict = self.judge(&located, seen).await?;
                Ok::<_, LookupError>((located, verdict))
            })
            .buffer_unordered(CALLS_IN_FLIGHT)
            .try_collect()
            .await?;
        let mut round = Round {
            answer: Answer {
                transactions: Vec::with_capacity(verdicts.len()),
                tip: snapshot.tip.block_ref(),
            },
            ahead: 0,
            unproved: None,
        };
        for (located, verdict) in verdicts {
            let proof = match verdict {
                Verdict::Proved(proof) => Some(proof),
                Verdict::Unconfirmed => None,
                Verdict::Ahead => {
                    round.ahead = round.ahead.saturating_add(1);
                    None
                }
                Verdict::Unproved(error) => {
                    round.unproved = Some(error);
                    continue;
                }
            };
            round.answer.transactions.push(VerifiedTransaction { fetched: located.fetched, proof });
        }
        round.answer.transactions.sort_by_key(order);
        Ok(round)
    }

    async fn judge(&self, located: &Located, snapshot: &Snapshot) -> Result<Verdict, LookupError> {
        let Some(height) = located.height else { return Ok(Verdict::Unconfirmed) };
        if height > snapshot.tip.height {
            return Ok(Verdict::Ahead);
        }
        // Below a checkpoint there is no header to prove it with.
        let Some(header) = snapshot.headers.get(&height) else {
            return Ok(Verdict::Unproved(LookupError::BelowBase { height }));
        };
        match self.proof_in(located, header).await? {
            Ok(proof) => {
                self.cache.put(&located.fetched, &proof);
                Ok(Verdict::Proved(proof))
            }
            Err(error) => {
                // A block that was replaced: the next look asks the server where the transaction is now.
                self.cache.forget(located.fetched.txid);
                Ok(Verdict::Unproved(error))
            }
        }
    }

    async fn proof_in(
        &self,
        located: &Located,
        header: &ChainHeader,
    ) -> Result<Result<Proof, LookupError>, LookupError> {
        let txid = located.fetched.txid;
        if let Some(known) = self.cache.get(txid)
            && known.proof.block == header.block_ref()
        {
            return Ok(Ok(known.proof));
        }
        let Some(branch) = self.source.merkle_branch(txid, header.height).await? else {
            return Ok(Err(LookupError::NoProof { txid, height: header.height }));
        };
        Ok(match branch.verify(&located.fetched.transaction, header.header.merkle_root) {
            Ok(()) => Ok(Proof { block: header.block_ref(), branch }),
            Err(source) => Err(LookupError::WrongProof { txid, height: header.height, source }),
        })
    }
}

/// Confirmed ones first, by height and position; then unconfirmed ones by id.
fn order(verified: &VerifiedTransaction) -> (bool, u32, u32, bitcoin::Txid) {
    let place = verified.proof.as_ref().map(|proof| (proof.block.height, proof.branch.position));
    let (height, position) = place.unwrap_or_default();
    (place.is_none(), height, position, verified.fetched.txid)
}
