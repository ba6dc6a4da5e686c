//! Signatures.

use std::fmt;

use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey};

use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};

/// A signature from which the public key can be recovered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The first half.
    pub r: [u8; 32],
    /// The second half, in the lower half of its range, as the chain requires.
    pub s: [u8; 32],
    /// Which of the two possible public keys is the right one.
    pub y_odd: bool,
}

impl Signature {
    /// Completes a signature without a recovery bit, as key services return it: finds the bit by the address, and moves
    /// `s` into the lower half of its range.
    ///
    /// # Errors
    /// [`Signer`](ErrorKind::Signer) if the signature is not by this address.
    pub fn for_address(address: Address, digest: &[u8; 32], r: [u8; 32], s: [u8; 32]) -> Result<Self> {
        let signature = EcdsaSignature::from_scalars(r, s)
            .map_err(|_| Error::new(ErrorKind::Signer, "the signature is out of its range"))?
            .normalize_s();
        let (r, s) = signature.split_bytes();
        [false, true]
            .into_iter()
            .map(|y_odd| Signature { r: r.into(), s: s.into(), y_odd })
            .find(|signature| signature.address(digest) == Some(address))
            .ok_or_else(|| wrong_key(address))
    }

    /// The address of the signer. `None` if the signature is not valid.
    pub fn address(&self, digest: &[u8; 32]) -> Option<Address> {
        let signature = EcdsaSignature::from_scalars(self.r, self.s).ok()?;
        // With the upper half of the range, the same payment would have two hashes.
        if signature.normalize_s() != signature {
            return None;
        }
        let key = VerifyingKey::recover_from_prehash(digest, &signature, RecoveryId::new(self.y_odd, false))
            .ok()?;
        let point = key.to_sec1_point(false);
        Some(Address::of_public_key(point.as_bytes().get(1..)?))
    }

    /// The 65 bytes for contracts: `r`, `s`, and 27 or 28.
    pub fn to_bytes(&self) -> [u8; 65] {
        let mut bytes = [0; 65];
        let parts = self.r.into_iter().chain(self.s).chain([27 + u8::from(self.y_odd)]);
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        bytes
    }
}

impl fmt::Debug for Signature {
    /// Omits the signature, because anybody who has the signature of an authorization can collect the payment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

pub(crate) fn wrong_key(address: Address) -> Error {
    Error::new(
        ErrorKind::Signer,
        format!("the signature is not one of {address}: wrong key, or wrong digest"),
    )
}
