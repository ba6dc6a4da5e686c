//! Whoever signs: a [`Key`](crate::Key) in memory, or something outside.

use std::error::Error as StdError;
use std::fmt;

use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey};

use crate::address::Address;
use crate::eip712::Authorization;
use crate::eip1559::Transaction;
use crate::error::{Error, ErrorKind, Result};

/// Something that signs for one address: a [`Key`](crate::Key), a hardware wallet, a key service.
///
/// It sees what it signs, so that it can show it or refuse. The wallet checks every signature against the address before
/// anything is sent.
///
/// ```
/// use crustocean_wallet::{Address, Key, SignRequest, Signature, Signer};
///
/// /// Signs nothing but transfers.
/// struct Careful(Key);
///
/// impl Signer for Careful {
///     fn address(&self) -> Address {
///         self.0.address()
///     }
///
///     fn sign(&self, request: &SignRequest<'_>) -> Result<Signature, Box<dyn std::error::Error + Send + Sync>> {
///         match request {
///             SignRequest::Transaction(transaction) if transaction.data.starts_with(&[0xa9, 0x05, 0x9c, 0xbb]) => {
///                 self.0.sign(request)
///             }
///             _ => Err("only transfers are signed".into()),
///         }
///     }
/// }
/// ```
pub trait Signer: Send + Sync {
    /// The address it signs for.
    fn address(&self) -> Address;

    /// Signs [`request.digest()`](SignRequest::digest).
    ///
    /// # Errors
    /// Whatever keeps it from signing. Then nothing is sent.
    fn sign(&self, request: &SignRequest<'_>) -> Result<Signature, Box<dyn StdError + Send + Sync>>;
}

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum SignRequest<'a> {
    /// A transaction of the wallet: a transfer, an approval, the replacement of one of them.
    Transaction(&'a Transaction),
    /// A payment by x402, which somebody else brings to the chain.
    Authorization(&'a Authorization),
}

impl SignRequest<'_> {
    /// The 32 bytes that are signed.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            SignRequest::Transaction(transaction) => transaction.digest(),
            SignRequest::Authorization(authorization) => authorization.digest(),
        }
    }
}

/// A signature that the key behind it can be recovered from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The first half.
    pub r: [u8; 32],
    /// The second half, in the lower half of its range: the chain takes no other.
    pub s: [u8; 32],
    /// Which of the two possible keys it is.
    pub y_odd: bool,
}

impl Signature {
    /// Of a signature without its last bit, as key services return it: the bit is found by the address, and `s` is brought
    /// into the lower half of its range.
    ///
    /// # Errors
    /// [`Signer`](ErrorKind::Signer) if the address did not sign this.
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

    /// Who signed this. `None` if it is no signature.
    pub fn address(&self, digest: &[u8; 32]) -> Option<Address> {
        let signature = EcdsaSignature::from_scalars(self.r, self.s).ok()?;
        // With the upper half of the range the same payment would have two hashes.
        if signature.normalize_s() != signature {
            return None;
        }
        let key = VerifyingKey::recover_from_prehash(digest, &signature, RecoveryId::new(self.y_odd, false))
            .ok()?;
        let point = key.to_sec1_point(false);
        Some(Address::of_public_key(point.as_bytes().get(1..)?))
    }

    /// The 65 bytes that contracts take: `r`, `s`, and 27 or 28.
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
    /// Whoever has the signature of an authorization can collect it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// Signs, and checks what comes back.
pub(crate) fn sign(signer: &dyn Signer, request: &SignRequest<'_>) -> Result<Signature> {
    let signature = signer.sign(request).map_err(|cause| {
        Error::new(ErrorKind::Signer, format!("the signer did not sign: {cause}")).with_source(cause)
    })?;
    let address = signer.address();
    if signature.address(&request.digest()) != Some(address) {
        return Err(wrong_key(address));
    }
    Ok(signature)
}

fn wrong_key(address: Address) -> Error {
    Error::new(
        ErrorKind::Signer,
        format!("the signature is not one of {address}: wrong key, or wrong digest"),
    )
}
