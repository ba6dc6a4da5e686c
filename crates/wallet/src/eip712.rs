//! What EIP-3009 has signed, hashed as EIP-712 says.

use std::fmt;

use crate::address::Address;
use crate::chain::Chain;
use crate::keccak::keccak;
use crate::usdc::Usdc;

const DOMAIN: &str = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const TRANSFER: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,\
                        uint256 validBefore,bytes32 nonce)";

/// A transfer of USDC that its signature alone allows: whoever has it can bring it to the chain, once. What x402 pays with.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The chain, and with it the contract, its name and its version.
    pub chain: Chain,
    /// Who pays.
    pub from: Address,
    /// Who is paid.
    pub to: Address,
    /// How much.
    pub value: Usdc,
    /// From when on, in seconds since 1970.
    pub valid_after: u64,
    /// Until when, in seconds since 1970.
    pub valid_before: u64,
    /// Random, so that it can be used once only.
    pub nonce: [u8; 32],
}

impl Authorization {
    /// The 32 bytes that are signed.
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
