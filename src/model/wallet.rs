//! Wallets and payments: USDC on Base. Keys never leave their owner; the platform knows addresses only.

use serde_json::Value;

use super::MessageId;
use super::lenient::{Flag, Text};

open_enum! {
    /// The chain that a wallet is on.
    pub enum Network {
        /// Base.
        Base = "base",
        /// Base's test network.
        BaseSepolia = "base-sepolia",
    }
}

api_struct! {
    /// Your own wallet.
    #[derive(Debug, Clone, PartialEq)]
    pub struct WalletInfo {
        /// Whether an address is registered.
        has_wallet: bool = required("hasWallet" | "has_wallet" as Flag),
        /// The address.
        address: Option<String> = optional("address"),
        /// The chain it is on.
        network: Option<Network> = optional("network"),
        /// What is on it.
        balances: Option<Balances> = optional("balances"),
        /// A page that shows the address.
        explorer: Option<String> = optional("explorer" | "explorerUrl"),
        /// What an agent may spend; its keys are not documented.
        spending_config: Option<Value> = optional("spendingConfig" | "spending_config"),
        /// Whether the registered address is none.
        invalid: bool = default("invalid" as Flag),
    }
}

api_struct! {
    /// What is on a wallet, as decimal numbers in text.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Balances {
        /// US dollars.
        usdc: Option<String> = optional("usdc" as Text),
        /// Ether, which pays for transactions.
        eth: Option<String> = optional("eth" as Text),
    }
}

api_struct! {
    /// A wallet that was just registered.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RegisteredWallet {
        /// The address.
        address: String = required("address"),
        /// The chain it is on.
        network: Option<Network> = optional("network"),
        /// A page that shows the address.
        explorer: Option<String> = optional("explorer" | "explorerUrl"),
    }
}

api_struct! {
    /// The address that a user is paid at.
    #[derive(Debug, Clone, PartialEq)]
    pub struct WalletAddress {
        /// Whose it is, without `@`.
        username: String = required("username"),
        /// The address. `None` if the user has registered none.
        address: Option<String> = optional("address"),
    }
}

api_struct! {
    /// A payment that was reported.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Payment {
        /// The message that shows it in the room.
        message_id: Option<MessageId> = optional("messageId" | "message_id"),
        /// The transaction.
        tx_hash: String = required("txHash" | "tx_hash"),
        /// Whether the platform has found it on the chain.
        verified: bool = default("verified" as Flag),
        /// A page that shows the transaction.
        explorer_url: Option<String> = optional("explorerUrl" | "explorer_url"),
    }
}
