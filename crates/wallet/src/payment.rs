//! The results of payments.

use std::error::Error as StdError;
use std::fmt;

use crate::address::{Address, TxHash};
use crate::error::Error;
use crate::usdc::Usdc;
use crate::wei::Wei;

/// A successful transaction of the wallet, in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirmed {
    /// The hash of the transaction.
    pub hash: TxHash,
    /// The number of the block.
    pub block: u64,
    /// The price of the gas, without the small additional charge of Base for data on Ethereum.
    pub fee: Wei,
    /// The URL of the transaction's page in a block explorer.
    pub explorer_url: String,
}

/// A payment that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The hash of the payment's transaction.
    pub hash: TxHash,
    /// The receiver.
    pub to: Address,
    /// The amount.
    pub amount: Usdc,
    /// The number of the block.
    pub block: u64,
    /// The price of the gas, without the small additional charge of Base for data on Ethereum.
    pub fee: Wei,
    /// The URL of the transaction's page in a block explorer.
    pub explorer_url: String,
}

/// The state of a transaction. Returned by [`Wallet::settle`](crate::Wallet::settle).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// The payment has arrived.
    Sent(Sent),
    /// The transaction succeeded and is not a payment, but for example an approval.
    Confirmed(Confirmed),
    /// The transaction failed on the chain. The fee is lost, the USDC is not.
    Reverted,
    /// Another transaction of the same sender replaced this one, which had no effect and never will.
    Replaced,
    /// The transaction waits for a block, and may still succeed.
    Pending,
    /// The node does not know the transaction. It may still succeed if another node knows it.
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
    /// The wallet sent and paid nothing. A new attempt is safe.
    NotSent(Error),
    /// The node may have the payment, so it may still arrive. Call [`Wallet::settle`](crate::Wallet::settle) before you
    /// pay again.
    #[non_exhaustive]
    MaybeSent {
        /// The transaction.
        hash: TxHash,
        /// The cause.
        cause: Error,
    },
    /// The transaction failed on the chain: the fee is lost, the USDC is not.
    #[non_exhaustive]
    Reverted {
        /// The transaction.
        hash: TxHash,
    },
    /// Another transaction of the same sender replaced this one. The receiver got nothing.
    #[non_exhaustive]
    Replaced {
        /// The transaction.
        hash: TxHash,
    },
}

impl PaymentError {
    /// The hash of the transaction, if there is one.
    pub fn hash(&self) -> Option<TxHash> {
        match self {
            PaymentError::NotSent(_) => None,
            PaymentError::MaybeSent { hash, .. }
            | PaymentError::Reverted { hash }
            | PaymentError::Replaced { hash } => Some(*hash),
        }
    }

    /// Whether the call has certainly paid nothing, and never will.
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
                write!(f, "another transaction replaced {hash}, which paid nothing")
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
