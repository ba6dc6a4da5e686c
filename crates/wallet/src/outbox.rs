//! The transactions that a wallet has sent recently: their nonces and signed bytes, to send them again.
//!
//! The same bytes never pay twice: the chain accepts one transaction per nonce of a sender.

use std::collections::BTreeMap;

use crate::address::TxHash;
use crate::eip1559::Transaction;

/// How many transactions the list keeps. It also keeps those in blocks, because a reorganisation may remove them from
/// the chain.
const KEPT: usize = 256;

#[derive(Default)]
pub(crate) struct Outbox {
    /// The first unused nonce of this wallet. 0: only the node knows it.
    next: u64,
    sent: BTreeMap<u64, Outgoing>,
}

/// A transaction, and the ones that were sent to replace it.
pub(crate) struct Outgoing {
    versions: Vec<Version>,
}

#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) hash: TxHash,
    pub(crate) raw: Vec<u8>,
    pub(crate) transaction: Transaction,
    /// Whether this version pays nothing and only replaces the others.
    pub(crate) is_cancellation: bool,
}

impl Outbox {
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Forgets the next nonce, because another program uses the same key.
    pub(crate) fn forget_next(&mut self) {
        self.next = 0;
    }

    pub(crate) fn note(&mut self, version: Version) {
        let nonce = version.transaction.nonce;
        self.next = self.next.max(nonce.saturating_add(1));
        self.sent.entry(nonce).or_insert(Outgoing { versions: Vec::new() }).versions.push(version);
        while self.sent.len() > KEPT {
            self.sent.pop_first();
        }
    }

    /// The latest version for each used nonce from `first` on. `None` if one of them is missing.
    pub(crate) fn since(&self, first: u64) -> Option<Vec<Version>> {
        (first..self.next).map(|nonce| self.sent.get(&nonce)?.versions.last().cloned()).collect()
    }

    /// All versions of the transaction that has this hash in one of its versions.
    pub(crate) fn versions(&self, hash: TxHash) -> Option<Vec<Version>> {
        let has = |outgoing: &&Outgoing| outgoing.versions.iter().any(|version| version.hash == hash);
        self.sent.values().rev().find(has).map(|outgoing| outgoing.versions.clone())
    }
}
