//! The EIP-712 hash of an EIP-3009 authorization.

use std::fmt;

use crate::address::Address;
use crate::chain::Chain;
use crate::keccak::keccak;
use crate::usdc::Usdc;

const DOMAIN: &str = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const TRANSFER: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,\
                        uint256 validBefore,bytes32 nonce)";

/// A permission to transfer USDC, with which x402 pays. Anybody who has its signature can send it to the chain once.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The chain, which determines the contract, its name and its version.
    pub chain: Chain,
    /// The payer.
    pub from: Address,
    /// The receiver.
    pub to: Address,
    /// The amount.
    pub value: Usdc,
    /// The start of validity, in seconds since 1970.
    pub valid_after: u64,
    /// The end of validity, in seconds since 1970.
    pub valid_before: u64,
    /// A random value. The contract accepts each value once.
    pub nonce: [u8; 32],
}

impl Authorization {
    /// The 32 bytes to sign.
    pub fn digest(&self) -> [u8; 32] {
        let domain = keccak(&[
            &keccak(&[DOMAIN.as_bytes()]),
            &keccak(&[self.chain.usdc_name().as_bytes()]),
            &keccak(&[self.chain.usdc_version().as_bytes()]),
            &word(self.chain.id()),
            &self.chain.usdc().word(),
        ]);
        let message = keccak(&[
            &keccak(&[TRANSFER.as_bytes()]),
            &self.from.word(),
            &self.to.word(),
            &self.value.word(),
            &word(self.valid_after),
            &word(self.valid_before),
            &self.nonce,
        ]);
        keccak(&[b"\x19\x01", &domain, &message])
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("chain", &self.chain)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("value", &self.value)
            .field("valid_before", &self.valid_before)
            .finish_non_exhaustive()
    }
}

fn word(number: u64) -> [u8; 32] {
    Usdc::from_units(number).word()
}
