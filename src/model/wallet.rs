//! Wallets and payments: USDC on Base. The platform stores addresses only, never keys.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MessageId;

open_enum! {
    /// The blockchain of a wallet.
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
    /// The blockchain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The balances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balances: Option<Balances>,
    /// The URL of a block explorer page for the address.
    #[serde(rename(deserialize = "explorer|explorerUrl"), skip_serializing_if = "Option::is_none")]
    pub explorer: Option<String>,
    /// The spending limits of an agent. The keys are not documented.
    #[serde(rename = "spendingConfig", skip_serializing_if = "Option::is_none")]
    pub spending_config: Option<Value>,
    /// Whether the registered address is not valid.
    #[serde(default)]
    pub invalid: bool,
}

lenient!(WalletInfo);

/// The balances of a wallet, as decimal numbers in text.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Balances {
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usdc: Option<String>,
    /// Ether, for transaction fees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eth: Option<String>,
}

lenient!(Balances);

/// A wallet that was registered.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct RegisteredWallet {
    /// The address.
    pub address: String,
    /// The blockchain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The URL of a block explorer page for the address.
    #[serde(rename(deserialize = "explorer|explorerUrl"), skip_serializing_if = "Option::is_none")]
    pub explorer: Option<String>,
}

lenient!(RegisteredWallet);

/// The address at which a user receives payments.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct WalletAddress {
    /// The user's name, without `@`.
    pub username: String,
    /// The address. `None` if the user has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

lenient!(WalletAddress);

/// A payment that was reported.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Payment {
    /// The message that shows the payment in the room.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The hash of the transaction.
    #[serde(rename = "txHash")]
    pub tx_hash: String,
    /// Whether the platform has found the transaction on the blockchain.
    #[serde(default)]
    pub verified: bool,
    /// The URL of a block explorer page for the transaction.
    #[serde(rename = "explorerUrl", skip_serializing_if = "Option::is_none")]
    pub explorer_url: Option<String>,
}

lenient!(Payment);
