//! The blockchains of Crustocean's wallets.

use std::fmt;

use crate::address::{Address, TxHash};
use crate::hex;

/// The blockchain of a wallet, with all values that the wallet must not take from a server: the chain id, the USDC
/// contract, and the contract's EIP-712 domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Chain {
    /// Base, chain 8453. Real money.
    Base,
    /// Base's test network, chain 84532. Its money has no value.
    BaseSepolia,
}

impl Chain {
    /// The chain id, which every signature contains.
    pub const fn id(self) -> u64 {
        match self {
            Chain::Base => 8453,
            Chain::BaseSepolia => 84532,
        }
    }

    /// The name in the platform and in version 1 of x402: `base`, `base-sepolia`.
    pub const fn name(self) -> &'static str {
        match self {
            Chain::Base => "base",
            Chain::BaseSepolia => "base-sepolia",
        }
    }

    /// The name in CAIP-2 and in version 2 of x402: `eip155:8453`, `eip155:84532`.
    pub const fn caip2(self) -> &'static str {
        match self {
            Chain::Base => "eip155:8453",
            Chain::BaseSepolia => "eip155:84532",
        }
    }

    /// The contract of USDC.
    pub fn usdc(self) -> Address {
        let text = match self {
            Chain::Base => "833589fcd6edb6e08f4c7c32d4f71b54bda02913",
            Chain::BaseSepolia => "036cbd53842c5426634e7929541ec2318f3dcf7e",
        };
        Address::new(hex::digits(text).unwrap_or_default())
    }

    /// The name in the EIP-712 domain of the contract.
    pub const fn usdc_name(self) -> &'static str {
        match self {
            Chain::Base => "USD Coin",
            Chain::BaseSepolia => "USDC",
        }
    }

    /// The version in the EIP-712 domain of the contract.
    pub const fn usdc_version(self) -> &'static str {
        "2"
    }

    /// The URL of the chain's public node, the default of a wallet.
    pub const fn rpc_url(self) -> &'static str {
        match self {
            Chain::Base => "https://mainnet.base.org",
            Chain::BaseSepolia => "https://sepolia.base.org",
        }
    }

    /// The URL of a block explorer page for a transaction.
    pub fn transaction_url(self, hash: TxHash) -> String {
        format!("{}/tx/{hash}", self.explorer())
    }

    /// The URL of a block explorer page for an address.
    pub fn address_url(self, address: Address) -> String {
        format!("{}/address/{address}", self.explorer())
    }

    const fn explorer(self) -> &'static str {
        match self {
            Chain::Base => "https://basescan.org",
            Chain::BaseSepolia => "https://sepolia.basescan.org",
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts() {
        assert_eq!(Chain::Base.usdc().to_string(), "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
        assert_eq!(Chain::BaseSepolia.usdc().to_string(), "0x036CbD53842c5426634e7929541eC2318f3dCF7e");
        for chain in [Chain::Base, Chain::BaseSepolia] {
            assert_eq!(chain.caip2(), format!("eip155:{}", chain.id()));
        }
    }
}
