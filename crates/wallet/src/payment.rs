//! How a payment ends.

use std::error::Error as StdError;
use std::fmt;

use crate::address::{Address, TxHash};
use crate::error::Error;
use crate::usdc::Usdc;
use crate::wei::Wei;

/// A transaction of the wallet that is in a block and did what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirmed {
    /// Its hash.
    pub hash: TxHash,
    /// The number of the block that it is in.
    pub block: u64,
    /// What its gas cost. Base takes a little more for the data it keeps on Ethereum, which is not in here.
    pub fee: Wei,
    /// A page that shows it.
    pub explorer_url: String,
}

/// A payment that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Its transaction.
    pub hash: TxHash,
    /// Who was paid.
    pub to: Address,
    /// How much.
    pub amount: Usdc,
    /// The number of the block that it is in.
    pub block: u64,
    /// What its gas cost. Base takes a little more for the data it keeps on Ethereum, which is not in here.
    pub fee: Wei,
    /// A page that shows it.
    pub explorer_url: String,
}

/// What became of a transaction: [`Wallet::settle`](crate::Wallet::settle).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// The payment has arrived.
    Sent(Sent),
    /// It succeeded, and is no payment: an approval, say.
    Confirmed(Confirmed),
    /// It failed on the chain. The fee is gone, the USDC is not.
    Reverted,
    /// Another transaction of the same sender took its place. Nothing of it happened, and nothing will.
    Replaced,
    /// It waits for a block. It may still happen.
    Pending,
    /// The node does not know it. It may still happen if another node does.
    Unknown,
}

/// Why a payment did not end well, and what that means for the money.
///
/// ```no_run
/// # fn demo(wallet: &crustocean_wallet::Wallet, to: crustocean_wallet::Address) -> Result<(), Box<dyn std::error::Error>> {
/// use crustocean_wallet::PaymentError;
///
/// match wallet.send(to, "5".parse()?) {
///     Ok(sent) => println!("{}", sent.explorer_url),
///     Err(PaymentError::NotSent(error)) => println!("nothing happened, try again later: {error}"),
///     // Before it is paid again, look what became of it.
///     Err(PaymentError::MaybeSent { hash, .. }) => println!("{:?}", wallet.settle(hash)?),
///     Err(error) => println!("{error}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PaymentError {
    /// Nothing was sent and nothing paid. It is safe to try again.
    NotSent(Error),
    /// It may have been sent, and may still arrive. Ask [`Wallet::settle`](crate::Wallet::settle) before paying again.
    MaybeSent {
        /// The transaction.
        hash: TxHash,
        /// Why it is not known.
        cause: Error,
    },
    /// It failed on the chain: the fee is gone, the USDC is not.
    Reverted {
        /// The transaction.
        hash: TxHash,
    },
    /// Another transaction of the same sender took its place. Nothing was paid.
    Replaced {
        /// The transaction.
        hash: TxHash,
    },
}

impl PaymentError {
    /// The transaction, if one was made.
    pub fn hash(&self) -> Option<TxHash> {
        match self {
            PaymentError::NotSent(_) => None,
            PaymentError::MaybeSent { hash, .. }
            | PaymentError::Reverted { hash }
            | PaymentError::Replaced { hash } => Some(*hash),
        }
    }

    /// Whether it is certain that nothing was paid by this, now or later.
    pub fn is_unpaid(&self) -> bool {
        !matches!(self, PaymentError::MaybeSent { .. })
    }
}

impl fmt::Display for PaymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PaymentError::NotSent(error) => write!(f, "not sent: {error}"),
            PaymentError::MaybeSent { hash, cause } => write!(
                f,
                "the transaction {hash} may or may not have been sent: {cause}. Call settle with its hash before paying \
                 again"
            ),
            PaymentError::Reverted { hash } => {
                write!(f, "the transaction {hash} failed on the chain: nothing was paid but the fee")
            }
            PaymentError::Replaced { hash } => {
                write!(f, "another transaction took the place of {hash}: nothing was paid by it")
            }
        }
    }
}

impl StdError for PaymentError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            PaymentError::NotSent(error) | PaymentError::MaybeSent { cause: error, .. } => Some(error),
            PaymentError::Reverted { .. } | PaymentError::Replaced { .. } => None,
        }
    }
}
