//! What is known of a payment by x402.

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

/// What was paid with a request: an authorization that its receiver may collect once, until it is no longer valid.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The server that was paid: scheme, host and port.
    pub origin: String,
    /// The chain.
    pub chain: Chain,
    /// Who is paid.
    pub pay_to: Address,
    /// How much.
    pub amount: Usdc,
    /// Until when it can be collected, in seconds since 1970.
    pub valid_before: u64,
    /// What makes it different from all others.
    pub nonce: [u8; 32],
    /// What the server says of having collected it. `None` if it says nothing; to know, ask
    /// [`X402::is_collected`](crate::X402::is_collected).
    pub collected: Option<Collected>,
}

/// What a server says of having collected a payment (`PAYMENT-RESPONSE`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Whether it has.
    pub success: bool,
    /// The transaction.
    pub transaction: Option<TxHash>,
    /// Why it has not.
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

    /// Reads what the server says; of either version.
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
