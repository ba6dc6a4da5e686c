//! The results of payments.

use std::error::Error as StdError;
use std::fmt;

use crate::address::{Address, TxHash};
use crate::error::Error;
use crate::usdc::Usdc;
use crate::wei::Wei;

/// A successful transaction of the wallet in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirmed {
    /// Its hash.
    pub hash: TxHash,
    /// The number of its block.
    pub block: u64,
    /// The price of its gas, without the small additional charge of Base for data on Ethereum.
    pub fee: Wei,
    /// The URL of a block explorer page for it.
    pub explorer_url: String,
}

/// A payment that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Its transaction.
    pub hash: TxHash,
    /// The receiver.
    pub to: Address,
    /// The amount.
    pub amount: Usdc,
    /// The number of its block.
    pub block: u64,
    /// The price of its gas, without the small additional charge of Base for data on Ethereum.
    pub fee: Wei,
    /// The URL of a block explorer page for it.
    pub explorer_url: String,
}

/// The state of a transaction. Returned by [`Wallet::settle`](crate::Wallet::settle).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// The payment has arrived.
    Sent(Sent),
    /// It succeeded and is not a payment; for example, an approval.
    Confirmed(Confirmed),
    /// It failed on the chain. The fee is lost, the USDC is not.
    Reverted,
    /// Another transaction of the same sender replaced it. It had no effect and never will.
    Replaced,
    /// It waits for a block, and may still succeed.
    Pending,
    /// The node does not know it. It may still succeed if another node does.
    Unknown,
}

/// Why a payment failed, and what happened to the money.
///
/// ```no_run
/// # fn demo(wallet: &crustocean_wallet::Wallet, to: crustocean_wallet::Address) -> Result<(), Box<dyn std::error::Error>> {
/// use crustocean_wallet::PaymentError;
///
/// match wallet.send(to, "5".parse()?) {
///     Ok(sent) => println!("{}", sent.explorer_url),
///     Err(PaymentError::NotSent(error)) => println!("nothing happened, try again later: {error}"),
///     // Find out what happened before you pay again.
///     Err(PaymentError::MaybeSent { hash, .. }) => println!("{:?}", wallet.settle(hash)?),
///     Err(error) => println!("{error}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PaymentError {
    /// Nothing was sent or paid. It is safe to try again.
    NotSent(Error),
    /// It may have been sent, and may still arrive. Call [`Wallet::settle`](crate::Wallet::settle) before paying
    /// again.
    MaybeSent {
        /// The transaction.
        hash: TxHash,
        /// The cause.
        cause: Error,
    },
    /// It failed on the chain: the fee is lost, the USDC is not.
    Reverted {
        /// The transaction.
        hash: TxHash,
    },
    /// Another transaction of the same sender replaced it. Nothing was paid.
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

    /// Whether this certainly paid nothing, and never will.
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
