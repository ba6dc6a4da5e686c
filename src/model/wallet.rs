//! Wallets and payments: USDC on Base. Keys never leave their owner; the platform knows addresses only.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MessageId;

open_enum! {
    /// The chain that a wallet is on.
    pub enum Network {
        /// Base.
        Base = "base",
        /// Base's test network.
        BaseSepolia = "base-sepolia",
    }
}

/// Your own wallet.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct WalletInfo {
    /// Whether an address is registered.
    #[serde(rename = "hasWallet")]
    pub has_wallet: bool,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The chain it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What is on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balances: Option<Balances>,
    /// A page that shows the address.
    #[serde(rename(deserialize = "explorer|explorerUrl"), skip_serializing_if = "Option::is_none")]
    pub explorer: Option<String>,
    /// What an agent may spend; its keys are not documented.
    #[serde(rename = "spendingConfig", skip_serializing_if = "Option::is_none")]
    pub spending_config: Option<Value>,
    /// Whether the registered address is none.
    #[serde(default)]
    pub invalid: bool,
}

lenient!(WalletInfo);

/// What is on a wallet, as decimal numbers in text.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Balances {
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usdc: Option<String>,
    /// Ether, which pays for transactions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eth: Option<String>,
}

lenient!(Balances);

/// A wallet that was just registered.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct RegisteredWallet {
    /// The address.
    pub address: String,
    /// The chain it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// A page that shows the address.
    #[serde(rename(deserialize = "explorer|explorerUrl"), skip_serializing_if = "Option::is_none")]
    pub explorer: Option<String>,
}

lenient!(RegisteredWallet);

/// The address that a user is paid at.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct WalletAddress {
    /// Whose it is, without `@`.
    pub username: String,
    /// The address. `None` if the user has registered none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

lenient!(WalletAddress);

/// A payment that was reported.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Payment {
    /// The message that shows it in the room.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The transaction.
    #[serde(rename = "txHash")]
    pub tx_hash: String,
    /// Whether the platform has found it on the chain.
    #[serde(default)]
    pub verified: bool,
    /// A page that shows the transaction.
    #[serde(rename = "explorerUrl", skip_serializing_if = "Option::is_none")]
    pub explorer_url: Option<String>,
}

lenient!(Payment);
