//! The receipt of an x402 payment.

use std::fmt;

use serde_json::Value;
use ureq::http::HeaderMap;

use crate::address::{Address, TxHash};
use crate::chain::Chain;
use crate::eip712::Authorization;
use crate::hex;
use crate::http::short;
use crate::usdc::Usdc;
use crate::x402::offer::decode;

/// A payment for a request: an authorization that the receiver may collect once, until it expires.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The server that got the payment: scheme, host and port.
    pub origin: String,
    /// The chain.
    pub chain: Chain,
    /// The receiver.
    pub pay_to: Address,
    /// The amount.
    pub amount: Usdc,
    /// The time of expiry, in seconds since 1970.
    pub valid_before: u64,
    /// The random value that makes the payment unique.
    pub nonce: [u8; 32],
    /// The server's statement about collecting the payment. `None` if there is none.
    /// [`X402::is_collected`](crate::X402::is_collected) asks the chain.
    pub collected: Option<Collected>,
}

/// A server's statement about collecting a payment (`PAYMENT-RESPONSE`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Whether the server has collected it.
    pub success: bool,
    /// The transaction.
    pub transaction: Option<TxHash>,
    /// Why the server has not collected it.
    pub reason: Option<String>,
}

impl Receipt {
    pub(crate) fn new(origin: String, authorization: &Authorization) -> Self {
        Receipt {
            origin,
            chain: authorization.chain,
            pay_to: authorization.to,
            amount: authorization.value,
            valid_before: authorization.valid_before,
            nonce: authorization.nonce,
            collected: None,
        }
    }

    /// Reads the server's statement, in either version.
    pub(crate) fn read(&mut self, headers: &HeaderMap) {
        let header = headers.get("payment-response").or_else(|| headers.get("x-payment-response"));
        self.collected = header.and_then(|header| decode(header.as_bytes())).and_then(|answer| {
            let text = |key: &str| answer.get(key).and_then(Value::as_str);
            Some(Collected {
                success: answer.get("success")?.as_bool()?,
                transaction: text("transaction").and_then(|hash| hash.parse().ok()),
                reason: text("errorReason").or_else(|| text("error")).map(short),
            })
        });
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("origin", &self.origin)
            .field("chain", &self.chain)
            .field("pay_to", &self.pay_to)
            .field("amount", &self.amount)
            .field("valid_before", &self.valid_before)
            .field("nonce", &hex::encode(&self.nonce))
            .field("collected", &self.collected)
            .finish()
    }
}
