//! Signs a transaction, broadcasts it and waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::{Address, TxHash};
use crate::eip1559::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::node::{Accepted, Fees, Mined, Node};
use crate::outbox::{Outbox, Version};
use crate::payment::PaymentError;
use crate::signer::{SignRequest, Signer, sign};
use crate::wei::Wei;

/// How often the sender requests a new nonce if another program with the same key has used it first.
const NONCE_TRIES: u32 = 8;
const NONCE_PAUSE: Duration = Duration::from_millis(250);
const FIRST_POLL: Duration = Duration::from_millis(50);
const SLOWEST_POLL: Duration = Duration::from_secs(1);
/// One of this many checks is thorough, which means that it requests more than the receipt.
const THOROUGH_CHECK_EVERY: u32 = 4;
/// A transaction counts as replaced when this many blocks follow the block in which another one used its nonce.
const REPLACED_DEPTH: u64 = 2;
/// How many checks must find a transaction replaced, because nodes behind one URL may differ.
const REPLACED_CHECKS: u32 = 2;
const TRANSFER_OF_NOTHING_GAS: u64 = 21_000;

pub(crate) struct Settings {
    pub(crate) confirmations: u64,
    pub(crate) confirm_timeout: Duration,
    pub(crate) max_fee: Wei,
}

/// Sends the transactions of one address.
pub(crate) struct Sender {
    pub(crate) node: Node,
    /// The same node without retries, for repeated requests while waiting.
    watched: Node,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) settings: Settings,
    /// A thread holds this lock from the request for a nonce until the node has the transaction, also while it calls
    /// the signer, which may wait for a person.
    turn: Mutex<()>,
    /// Threads hold this lock only briefly.
    outbox: Mutex<Outbox>,
}

/// The result of a transaction.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The version of the transaction with this hash is in a block.
    Mined {
        hash: TxHash,
        mined: Mined,
    },
    Replaced,
    Pending,
    Unknown,
}

/// A call that the wallet can pay for.
struct Quote {
    to: Address,
    data: Vec<u8>,
    gas: u64,
    fees: Fees,
}

impl Sender {
    pub(crate) fn new(node: Node, signer: Arc<dyn Signer>, settings: Settings) -> Self {
        let watched = node.without_retries();
        Sender { node, watched, signer, settings, turn: Mutex::default(), outbox: Mutex::default() }
    }

    /// Calls a contract and waits for the result.
    pub(crate) fn call(&self, to: Address, data: Vec<u8>) -> Result<(TxHash, Mined), PaymentError> {
        let quote = self.quote(to, data).map_err(PaymentError::NotSent)?;
        let (hash, error) = self.broadcast(&quote).map_err(PaymentError::NotSent)?;
        let (outcome, later_error) = self.wait(hash);
        match outcome {
            // Another thread has cancelled it.
            Outcome::Mined { hash: mined, .. } if self.is_cancellation(mined) => {
                Err(PaymentError::Replaced { hash })
            }
            Outcome::Mined { hash, mined } if !mined.succeeded => Err(PaymentError::Reverted { hash }),
            Outcome::Mined { hash, mined } => Ok((hash, mined)),
            Outcome::Replaced => Err(PaymentError::Replaced { hash }),
            Outcome::Pending | Outcome::Unknown => {
                let cause = later_error.or(error).unwrap_or_else(|| self.too_slow());
                Err(PaymentError::MaybeSent { hash, cause })
            }
        }
    }

    /// Checks before signing that the call would succeed and that the wallet can pay its fee.
    fn quote(&self, to: Address, data: Vec<u8>) -> Result<Quote> {
        let from = self.signer.address();
        let fees = self.node.fees()?;
        let gas = self.node.gas(from, to, &data).map_err(|error| match error.kind() {
            ErrorKind::Node => {
                Error::new(ErrorKind::Node, format!("the transaction would fail: {error}")).with_source(error)
            }
            _ => error,
        })?;
        let (gas, fees) = with_random_parts(gas, fees)?;
        let fee = self.affordable(gas, fees)?;
        let ether = self.node.ether(from)?;
        if ether < fee {
            return Err(Error::new(
                ErrorKind::Funds,
                format!("not enough ether for the fee: {from} has {ether} ETH and needs up to {fee} ETH"),
            ));
        }
        Ok(Quote { to, data, gas, fees })
    }

    fn affordable(&self, gas: u64, fees: Fees) -> Result<Wei> {
        let (fee, ceiling) = (Wei::new(fees.max_fee.saturating_mul(gas.into())), self.settings.max_fee);
        if fee > ceiling {
            return Err(Error::new(
                ErrorKind::Fee,
                format!("the fee may be {fee} ETH, and the limit is {ceiling} ETH: wait, or raise max_fee"),
            ));
        }
        Ok(fee)
    }

    /// Sends the transaction. Returns its hash, and an error if the node may not have the transaction. `Err` if the
    /// node does not have it.
    fn broadcast(&self, quote: &Quote) -> Result<(TxHash, Option<Error>)> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tries = 0;
        loop {
            let nonce = self.next_nonce()?;
            let version = self.sign(Transaction {
                chain_id: self.node.chain.id(),
                nonce,
                max_priority_fee: quote.fees.max_priority_fee,
                max_fee: quote.fees.max_fee,
                gas: quote.gas,
                to: quote.to,
                value: 0,
                data: quote.data.clone(),
            })?;
            let hash = version.hash;
            crate::logging::record!(Debug, "{hash} has nonce {nonce}");
            let error = match self.node.send(&version.raw) {
                Accepted::Yes => None,
                Accepted::Unclear(error) => Some(error),
                Accepted::NotDelivered(error) => return Err(error),
                Accepted::No(refusal) => match self.node.knows(hash) {
                    // The node contradicts itself: it has the transaction.
                    Ok(true) => None,
                    Ok(false) => return Err(refusal),
                    // The node may have the transaction.
                    Err(_) => Some(refusal),
                },
                Accepted::NonceTaken(refusal) => match self.knows_within(hash, NONCE_PAUSE * (tries + 1)) {
                    Ok(true) => None,
                    // Perhaps this transaction itself has used the nonce.
                    Err(_) => Some(refusal),
                    Ok(false) => {
                        tries += 1;
                        if tries == NONCE_TRIES {
                            return Err(refusal);
                        }
                        crate::logging::record!(
                            Debug,
                            "nonce {nonce} is used already: another program uses this key"
                        );
                        self.outbox().forget_next();
                        continue;
                    }
                },
            };
            self.outbox().note(version);
            return Ok((hash, error));
        }
    }

    /// Whether the node knows the transaction now or after the pause. One URL may lead to several nodes, and the node
    /// that answers may get the transaction late.
    fn knows_within(&self, hash: TxHash, pause: Duration) -> Result<bool> {
        if self.node.knows(hash)? {
            return Ok(true);
        }
        thread::sleep(pause);
        self.node.knows(hash)
    }

    /// The next nonce. If the node has lost transactions of this wallet, sends them again, because a missing nonce
    /// blocks all later ones.
    fn next_nonce(&self) -> Result<u64> {
        let pending = self.node.nonce(self.signer.address(), "pending")?;
        if pending >= self.outbox().next() {
            return Ok(pending);
        }
        let missing = self.outbox().since(pending);
        let Some(missing) = missing else {
            return Ok(pending);
        };
        for version in missing {
            match self.node.send(&version.raw) {
                Accepted::Yes | Accepted::NonceTaken(_) => {}
                Accepted::No(error) | Accepted::Unclear(error) | Accepted::NotDelivered(error) => {
                    let text = format!(
                        "an earlier transaction, {}, waits, and the node refuses it: {error}. Settle or cancel it \
                         first",
                        version.hash
                    );
                    return Err(Error::new(error.kind(), text).with_source(error));
                }
            }
        }
        Ok(self.outbox().next())
    }

    fn sign(&self, transaction: Transaction) -> Result<Version> {
        let signature = sign(&*self.signer, &SignRequest::Transaction(&transaction))?;
        let (raw, hash) = transaction.signed(&signature);
        Ok(Version { hash, raw, transaction, is_cancellation: false })
    }

    /// Waits until the transaction has a definite result or the time limit passes. Also returns the last error.
    pub(crate) fn wait(&self, hash: TxHash) -> (Outcome, Option<Error>) {
        let until = Instant::now() + self.settings.confirm_timeout;
        let (mut pause, mut replaced) = (FIRST_POLL, 0);
        let (mut outcome, mut last_error) = (Outcome::Unknown, None);
        for checks in 0_u32.. {
            // Most checks request only the receipt, because public nodes limit the rate.
            let is_thorough = checks % THOROUGH_CHECK_EVERY == 0;
            match self.check(hash, is_thorough) {
                Ok(Some(mined @ Outcome::Mined { .. })) => return (mined, None),
                Ok(Some(Outcome::Replaced)) => {
                    replaced += 1;
                    if replaced == REPLACED_CHECKS {
                        return (Outcome::Replaced, None);
                    }
                    (outcome, last_error) = (Outcome::Pending, None);
                }
                Ok(Some(seen)) => {
                    replaced = 0;
                    (outcome, last_error) = (seen, None);
                }
                Ok(None) => last_error = None,
                Err(error) => last_error = Some(error),
            }
            // Send it again even if this node has it, because another node behind the same URL may not have it.
            if is_thorough {
                self.broadcast_again(hash);
            }
            if Instant::now() + pause >= until {
                break;
            }
            thread::sleep(pause);
            pause = (pause * 3 / 2).min(SLOWEST_POLL);
        }
        (outcome, last_error)
    }

    /// Checks the transaction once. `None` if there is no receipt and the check is not thorough.
    fn check(&self, hash: TxHash, is_thorough: bool) -> Result<Option<Outcome>> {
        let (node, from) = (&self.watched, self.signer.address());
        let versions = self.outbox().versions(hash).unwrap_or_default();
        let nonce = versions.first().map(|version| version.transaction.nonce);
        let mut hashes: Vec<_> = versions.iter().map(|version| version.hash).collect();
        if hashes.is_empty() {
            hashes.push(hash);
        }
        // Check the nonce before the receipts. Otherwise a transaction that gets into a block in between would seem
        // replaced.
        let is_number_used = is_thorough && nonce.map_or(Ok(false), |nonce| self.is_number_used(nonce))?;
        for hash in &hashes {
            if let Some(mined) = node.mined(*hash, from)? {
                let is_final = self.is_deep_enough(*hash, &mined)?;
                return Ok(Some(if is_final {
                    Outcome::Mined { hash: *hash, mined }
                } else {
                    Outcome::Pending
                }));
            }
        }
        if is_number_used {
            return Ok(Some(Outcome::Replaced));
        }
        if !is_thorough {
            return Ok(None);
        }
        for hash in hashes {
            if node.knows(hash)? {
                return Ok(Some(Outcome::Pending));
            }
        }
        Ok(Some(Outcome::Unknown))
    }

    /// Whether a transaction with this nonce is deep enough in the chain.
    fn is_number_used(&self, nonce: u64) -> Result<bool> {
        let Some(block) = self.watched.block()?.checked_sub(REPLACED_DEPTH) else {
            return Ok(false);
        };
        Ok(self.watched.nonce(self.signer.address(), &format!("{block:#x}"))? > nonce)
    }

    /// Whether enough blocks follow the transaction's block, and the transaction is still in the chain.
    fn is_deep_enough(&self, hash: TxHash, mined: &Mined) -> Result<bool> {
        if self.settings.confirmations <= 1 {
            return Ok(true);
        }
        let depth = self.watched.block()?.saturating_add(1).saturating_sub(mined.block);
        if depth < self.settings.confirmations {
            return Ok(false);
        }
        let again = self.watched.mined(hash, self.signer.address())?;
        Ok(again.is_some_and(|again| again.block_hash == mined.block_hash))
    }

    fn broadcast_again(&self, hash: TxHash) {
        let last = self.outbox().versions(hash).and_then(|versions| versions.last().cloned());
        if let Some(version) = last {
            let answer = self.watched.send(&version.raw);
            crate::logging::record!(Debug, "{} is sent again: {answer:?}", version.hash);
        }
    }

    /// Sends the same payment with a higher fee, or an empty transaction in its place, and waits for either of them.
    pub(crate) fn replace(&self, hash: TxHash, is_cancellation: bool) -> Result<Outcome> {
        let fees = self.node.fees()?;
        {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let last = self.outbox().versions(hash).and_then(|versions| versions.last().cloned());
            let last = last.ok_or_else(|| {
                Error::invalid(
                    "this wallet has not sent that transaction, or too long ago, or before a restart",
                )
            })?;
            // Nodes require an increase of both fees by at least 10 %.
            let more = |fee: u128| fee.saturating_add(fee / 8).saturating_add(1);
            let mut transaction = last.transaction;
            transaction.max_priority_fee = more(transaction.max_priority_fee).max(fees.max_priority_fee);
            transaction.max_fee =
                more(transaction.max_fee).max(fees.max_fee).max(transaction.max_priority_fee);
            if is_cancellation {
                transaction.to = self.signer.address();
                transaction.data = Vec::new();
                transaction.gas = TRANSFER_OF_NOTHING_GAS;
            }
            let fees = Fees { max_fee: transaction.max_fee, max_priority_fee: transaction.max_priority_fee };
            self.affordable(transaction.gas, fees)?;
            let mut version = self.sign(transaction)?;
            version.is_cancellation = is_cancellation;
            match self.node.send(&version.raw) {
                Accepted::Yes | Accepted::Unclear(_) => self.outbox().note(version),
                // One of the other versions is in a block already.
                Accepted::NonceTaken(_) => {}
                Accepted::No(error) | Accepted::NotDelivered(error) => return Err(error),
            }
        }
        let (outcome, error) = self.wait(hash);
        match (outcome, error) {
            (Outcome::Unknown, Some(error)) => Err(error),
            (outcome, _) => Ok(outcome),
        }
    }

    /// Whether the version with this hash cancels the payment.
    pub(crate) fn is_cancellation(&self, hash: TxHash) -> bool {
        let versions = self.outbox().versions(hash).unwrap_or_default();
        versions.iter().any(|version| version.hash == hash && version.is_cancellation)
    }

    pub(crate) fn too_slow(&self) -> Error {
        let limit = self.settings.confirm_timeout;
        Error::new(ErrorKind::Timeout, format!("the transaction was in no block after {limit:?}"))
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds small random values to the fee and the gas. Signatures are deterministic: without the random values, two
/// programs with one key that make the same payment at the same time would create the same transaction, and both would
/// count it as theirs.
fn with_random_parts(gas: u64, fees: Fees) -> Result<(u64, Fees)> {
    let mut chance = [0; 4];
    getrandom::fill(&mut chance).map_err(|cause| {
        Error::new(ErrorKind::Config, format!("the system's random source failed: {cause}"))
    })?;
    let chance = u32::from_be_bytes(chance);
    // Up to 0.001 gwei for the price, and up to 4,095 units of gas.
    let (price, units) = (u128::from(chance >> 12), u64::from(chance & 0xfff));
    Ok((gas.saturating_add(units), Fees { max_fee: fees.max_fee.saturating_add(price), ..fees }))
}
