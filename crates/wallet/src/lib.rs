#![doc = include_str!("../README.md")]
// This crate holds private keys.
#![forbid(unsafe_code)]

mod address;
mod builder;
mod chain;
mod eip1559;
mod eip712;
mod error;
mod hex;
mod http;
mod keccak;
mod key;
mod logging;
mod node;
mod outbox;
mod payment;
mod recipient;
mod rpc;
mod sender;
mod signature;
mod signer;
mod tip;
mod tls;
mod usdc;
mod wallet;
mod wei;
mod x402;

pub use address::{Address, TxHash};
pub use builder::WalletBuilder;
pub use chain::Chain;
pub use eip712::Authorization;
pub use eip1559::Transaction;
pub use error::{Error, ErrorKind, Result};
pub use key::Key;
pub use payment::{Confirmed, PaymentError, Sent, Settlement};
pub use recipient::Recipient;
pub use signature::Signature;
pub use signer::{SignRequest, Signer};
pub use tip::Tip;
pub use usdc::Usdc;
pub use wallet::{Balances, Wallet};
pub use wei::Wei;
pub use x402::{Answer, Collected, Receipt, X402, X402Error, X402WithoutDailyLimit, X402WithoutLimits};
