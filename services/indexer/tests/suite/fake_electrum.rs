//! A server behind the port that can be told to lie. Its chain is mined for real, on regtest's rules.

use std::sync::{Mutex, MutexGuard};

use ailayer_indexer::domain::fee::FeeRate;
use ailayer_indexer::domain::merkle::MerkleBranch;
use ailayer_indexer::ports::{BroadcastOutcome, ElectrumSource, HistoryEntry, SourceError, SourceTip};
use async_trait::async_trait;
use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::{
    Amount, BlockHash, CompactTarget, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Txid, Witness, absolute, transaction,
};

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Merkle branches with a bit flipped.
    BentProof,
    /// Merkle branches of another transaction.
    ProofOfAnother,
    /// Denies proofs for transactions it said are confirmed.
    NoProof,
    /// Says unconfirmed transactions are in the newest block.
    ConfirmedTooEarly,
    /// Another transaction than asked for.
    WrongTransaction,
    /// Histories with a transaction that has nothing to do with the script.
    StrangerInHistory,
    /// Histories with a transaction it does not have.
    PhantomInHistory,
    /// Histories that are too long to tell.
    HistoryTooLarge,
    /// The newest header without proof of work.
    NoWork,
    /// The newest header linked to something else.
    Unlinked,
    /// The newest header at a lower difficulty, with the work for it.
    EasyHeader,
    /// A tip some blocks below the newest.
    OldTip(u32),
    /// A whole other chain, valid and longer, from genesis.
    OtherChain,
    /// No answer at all.
    Silent,
    /// A fee of 21 million bitcoin.
    AbsurdFee,
}

#[derive(Debug, Clone)]
pub struct FakeBlock {
    pub header: Header,
    pub transactions: Vec<Transaction>,
}

#[derive(Debug, Default)]
struct State {
    blocks: Vec<FakeBlock>,
    other_chain: Vec<FakeBlock>,
    mempool: Vec<Transaction>,
    lie: Option<Lie>,
    salt: u64,
}

#[derive(Debug)]
pub struct FakeElectrum {
    state: Mutex<State>,
}

impl FakeElectrum {
    /// A chain of `count` blocks above genesis.
    pub fn new(count: u32) -> Self {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let first = FakeBlock { header: genesis.header, transactions: genesis.txdata };
        let fake = Self { state: Mutex::new(State { blocks: vec![first], ..State::default() }) };
        for _ in 0..count {
            fake.mine();
        }
        fake
    }

    pub fn lie(&self, lie: Option<Lie>) {
        let mut state = self.state();
        state.lie = lie;
        if lie == Some(Lie::OtherChain) {
            let (mut other, longer) = (vec![state.blocks[0].clone()], state.blocks.len() + 5);
            while other.len() < longer {
                state.salt += 1;
                let block = next_block(&other, vec![], state.salt);
                other.push(block);
            }
            state.other_chain = other;
        }
    }

    /// Mines the mempool.
    pub fn mine(&self) -> BlockHash {
        let mut state = self.state();
        let transactions = std::mem::take(&mut state.mempool);
        state.salt += 1;
        let block = next_block(&state.blocks, transactions, state.salt);
        let hash = block.header.block_hash();
        state.blocks.push(block);
        hash
    }

    /// Takes the newest blocks away; their transactions but the rewards are in the mempool again.
    pub fn disconnect(&self, depth: usize) {
        let mut state = self.state();
        for _ in 0..depth {
            let block = state.blocks.pop().unwrap();
            state.mempool.extend(block.transactions.into_iter().skip(1));
        }
    }

    /// Forgets the mempool.
    pub fn evict(&self) {
        self.state().mempool.clear();
    }

    pub fn tip_hash(&self) -> BlockHash {
        self.state().blocks.last().unwrap().header.block_hash()
    }

    pub fn chain(&self) -> Vec<BlockHash> {
        self.state().blocks.iter().map(|block| block.header.block_hash()).collect()
    }

    /// A transaction to put into a block; different for each number.
    pub fn payment(number: u8, script: &Script) -> Transaction {
        let spent = OutPoint { txid: Txid::from_byte_array([number; 32]), vout: 0 };
        built(
            spent,
            ScriptBuf::new(),
            vec![TxOut { value: Amount::from_sat(1_000), script_pubkey: script.into() }],
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn asked(&self) -> Result<MutexGuard<'_, State>, SourceError> {
        let state = self.state();
        if state.lie == Some(Lie::Silent) {
            return Err(SourceError::Unavailable("told to be silent".to_owned()));
        }
        Ok(state)
    }
}

impl State {
    fn all(&self) -> impl Iterator<Item = (Option<u32>, &Transaction)> {
        let mined = (0_u32..).zip(&self.blocks).flat_map(|(height, block)| {
            block.transactions.iter().map(move |transaction| (Some(height), transaction))
        });
        mined.chain(self.mempool.iter().map(|transaction| (None, transaction)))
    }

    fn find(&self, txid: Txid) -> Option<&Transaction> {
        self.all().map(|(_, transaction)| transaction).find(|transaction| transaction.compute_txid() == txid)
    }

    /// Headers as told, lies included.
    fn told(&self) -> Vec<Header> {
        let blocks = if self.lie == Some(Lie::OtherChain) { &self.other_chain } else { &self.blocks };
        let mut headers: Vec<Header> = blocks.iter().map(|block| block.header).collect();
        let newest = headers.last_mut().unwrap();
        match self.lie {
            Some(Lie::NoWork) => {
                while newest.target().is_met_by(newest.block_hash()) {
                    newest.nonce += 1;
                }
            }
            Some(Lie::Unlinked) => {
                newest.prev_blockhash = BlockHash::from_byte_array([7; 32]);
                work(newest);
            }
            Some(Lie::EasyHeader) => {
                newest.bits = CompactTarget::from_consensus(0x2100_ffff);
                work(newest);
            }
            Some(Lie::OldTip(back)) => headers.truncate(headers.len() - back as usize),
            _ => {}
        }
        headers
    }
}

fn work(header: &mut Header) {
    while !header.target().is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
}

fn built(spent: OutPoint, script_sig: ScriptBuf, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: spent,
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output,
    }
}

fn next_block(chain: &[FakeBlock], payments: Vec<Transaction>, salt: u64) -> FakeBlock {
    let below = chain.last().unwrap().header;
    let reward_script = ScriptBuf::from_bytes([&[0x51], salt.to_le_bytes().as_slice()].concat());
    let reward = TxOut { value: Amount::from_sat(5_000), script_pubkey: reward_script };
    let signature = ScriptBuf::from_bytes(salt.to_le_bytes().to_vec());
    let mut transactions = vec![built(OutPoint::null(), signature, vec![reward])];
    transactions.extend(payments);
    let txids = transactions.iter().map(Transaction::compute_txid);
    let root = bitcoin::merkle_tree::calculate_root(txids).unwrap();
    let mut header = Header {
        version: bitcoin::block::Version::TWO,
        prev_blockhash: below.block_hash(),
        merkle_root: TxMerkleNode::from_byte_array(root.to_byte_array()),
        time: below.time + 600,
        bits: below.bits,
        nonce: 0,
    };
    work(&mut header);
    FakeBlock { header, transactions }
}

fn branch(block: &FakeBlock, txid: Txid) -> Option<MerkleBranch> {
    let mut level: Vec<[u8; 32]> =
        block.transactions.iter().map(|transaction| transaction.compute_txid().to_byte_array()).collect();
    let position = level.iter().position(|id| *id == txid.to_byte_array())?;
    let (mut at, mut siblings) = (position, vec![]);
    while level.len() > 1 {
        if level.len() % 2 == 1 {
            level.push(*level.last().unwrap());
        }
        siblings.push(level[at ^ 1]);
        level = level.chunks(2).map(|pair| sha256d::Hash::hash(&pair.concat()).to_byte_array()).collect();
        at /= 2;
    }
    Some(MerkleBranch { position: u32::try_from(position).unwrap(), siblings })
}

#[async_trait]
impl ElectrumSource for FakeElectrum {
    async fn check(&self) -> Result<(), SourceError> {
        self.asked().map(drop)
    }

    async fn tip(&self) -> Result<SourceTip, SourceError> {
        let headers = self.asked()?.told();
        Ok(SourceTip { height: u32::try_from(headers.len() - 1).unwrap(), header: *headers.last().unwrap() })
    }

    async fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        let headers = self.asked()?.told();
        Ok(headers.into_iter().skip(start_height as usize).take(count as usize).collect())
    }

    async fn transaction(&self, txid: Txid) -> Result<Option<Vec<u8>>, SourceError> {
        let state = self.asked()?;
        if state.lie == Some(Lie::WrongTransaction) {
            return Ok(Some(serialize(&state.blocks[1].transactions[0])));
        }
        Ok(state.find(txid).map(serialize))
    }

    async fn script_history(&self, script: &Script) -> Result<Vec<HistoryEntry>, SourceError> {
        let state = self.asked()?;
        let pays = |transaction: &Transaction| {
            transaction.output.iter().any(|output| output.script_pubkey.as_script() == script)
        };
        let spends = |transaction: &Transaction| {
            transaction.input.iter().any(|input| {
                let spent = input.previous_output;
                let funding = state.find(spent.txid);
                funding.is_some_and(|funding| {
                    funding.output[spent.vout as usize].script_pubkey.as_script() == script
                })
            })
        };
        let newest = u32::try_from(state.blocks.len() - 1).unwrap();
        let mut history: Vec<HistoryEntry> = state
            .all()
            .filter(|(_, transaction)| pays(transaction) || spends(transaction))
            .map(|(height, transaction)| HistoryEntry { txid: transaction.compute_txid(), height })
            .collect();
        match state.lie {
            Some(Lie::ConfirmedTooEarly) => {
                history.iter_mut().for_each(|entry| entry.height = entry.height.or(Some(newest)));
            }
            Some(Lie::StrangerInHistory) => {
                let txid = state.blocks[1].transactions[0].compute_txid();
                history.push(HistoryEntry { txid, height: Some(1) });
            }
            Some(Lie::PhantomInHistory) => {
                history.push(HistoryEntry { txid: Txid::from_byte_array([9; 32]), height: Some(1) });
            }
            Some(Lie::HistoryTooLarge) => return Err(SourceError::TooLarge),
            _ => {}
        }
        Ok(history)
    }

    async fn merkle_branch(&self, txid: Txid, height: u32) -> Result<Option<MerkleBranch>, SourceError> {
        let state = self.asked()?;
        let Some(block) = state.blocks.get(height as usize) else { return Ok(None) };
        Ok(match state.lie {
            Some(Lie::NoProof) => None,
            Some(Lie::ProofOfAnother) => branch(block, block.transactions[0].compute_txid()),
            Some(Lie::BentProof) => branch(block, txid).map(|mut branch| {
                branch.siblings[0][3] ^= 8;
                branch
            }),
            _ => branch(block, txid),
        })
    }

    async fn broadcast(&self, raw: &[u8]) -> Result<BroadcastOutcome, SourceError> {
        let mut state = self.asked()?;
        let Ok(transaction) = deserialize::<Transaction>(raw) else {
            return Ok(BroadcastOutcome::Rejected("TX decode failed".to_owned()));
        };
        if state.find(transaction.compute_txid()).is_none() {
            state.mempool.push(transaction);
        }
        Ok(BroadcastOutcome::Accepted)
    }

    async fn estimate_fee(&self, _target_blocks: u32) -> Result<Option<FeeRate>, SourceError> {
        match self.asked()?.lie {
            Some(Lie::AbsurdFee) => Err(SourceError::Malformed("fee rate is implausibly high".to_owned())),
            _ => Ok(None),
        }
    }

    async fn relay_fee(&self) -> Result<FeeRate, SourceError> {
        self.asked().map(drop)?;
        Ok(FeeRate::try_from_sat_per_kvb(1_000).unwrap())
    }
}
