//! How a request that was to be paid for fails.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;
use crate::x402::receipt::Receipt;

/// Why there is no answer, and what that means for the money.
#[derive(Debug)]
#[non_exhaustive]
pub enum X402Error {
    /// Nothing was paid: a price above a limit, an offer that is not of this crate, a server that cannot be reached.
    NotPaid(Error),
    /// The payment was on its way when the connection failed. It may be collected until it is no longer valid:
    /// [`X402::is_collected`](crate::X402::is_collected) tells.
    MaybePaid {
        /// What was to be paid.
        receipt: Box<Receipt>,
        /// What went wrong.
        cause: Error,
    },
    /// The server was paid and asks for money all the same. It is not paid again.
    Refused {
        /// What was paid. It may be collected even so, until it is no longer valid.
        receipt: Box<Receipt>,
        /// The server's own words.
        reason: String,
    },
}

impl X402Error {
    /// What was paid or may have been.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            X402Error::NotPaid(_) => None,
            X402Error::MaybePaid { receipt, .. } | X402Error::Refused { receipt, .. } => Some(receipt),
        }
    }
}

impl From<Error> for X402Error {
    /// Everything before the payment leaves is this.
    fn from(error: Error) -> Self {
        X402Error::NotPaid(error)
    }
}

impl fmt::Display for X402Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            X402Error::NotPaid(error) => write!(f, "not paid: {error}"),
            X402Error::MaybePaid { receipt, cause } => {
                let (amount, origin) = (receipt.amount, &receipt.origin);
                write!(f, "{origin} may have been paid {amount} USDC, and there is no answer: {cause}")
            }
            X402Error::Refused { receipt, reason } => {
                let (amount, origin) = (receipt.amount, &receipt.origin);
                write!(f, "{origin} was paid {amount} USDC and asks for money all the same: {reason}")
            }
        }
    }
}

impl StdError for X402Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            X402Error::NotPaid(error) | X402Error::MaybePaid { cause: error, .. } => Some(error),
            X402Error::Refused { .. } => None,
        }
    }
}
