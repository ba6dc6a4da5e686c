//! The error type of paid requests.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;
use crate::x402::receipt::Receipt;

/// Why there is no response, and what happened to the money.
#[derive(Debug)]
#[non_exhaustive]
pub enum X402Error {
    /// The client paid nothing: the price is above a limit, the crate cannot pay the offer, or the server cannot be
    /// reached.
    NotPaid(Error),
    /// The connection failed after the client had sent the payment. The server may collect the payment until it
    /// expires; [`X402::is_collected`](crate::X402::is_collected) shows whether it has.
    #[non_exhaustive]
    MaybePaid {
        /// The payment.
        receipt: Box<Receipt>,
        /// The cause.
        cause: Error,
    },
    /// The server got the payment and asks for money again. The crate does not pay twice.
    #[non_exhaustive]
    Refused {
        /// The payment. The server may still collect it until it expires.
        receipt: Box<Receipt>,
        /// The server's text.
        reason: String,
    },
}

impl X402Error {
    /// The payment, if the client has sent one or may have sent one.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            X402Error::NotPaid(_) => None,
            X402Error::MaybePaid { receipt, .. } | X402Error::Refused { receipt, .. } => Some(receipt),
        }
    }
}

impl From<Error> for X402Error {
    /// Errors before the payment mean that the client has paid nothing.
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
                write!(
                    f,
                    "{origin} may have been paid {amount} USDC, and the server has not answered: {cause}"
                )
            }
            X402Error::Refused { receipt, reason } => {
                let (amount, origin) = (receipt.amount, &receipt.origin);
                write!(f, "{origin} was paid {amount} USDC and asks for money again: {reason}")
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
