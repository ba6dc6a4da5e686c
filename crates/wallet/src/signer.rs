//! The signer of a wallet: a [`Key`](crate::Key) in memory, or an external one.

use std::error::Error as StdError;

use crate::address::Address;
use crate::eip712::Authorization;
use crate::eip1559::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::signature::{Signature, wrong_key};

/// Signs for one address: a [`Key`](crate::Key), a hardware wallet, a key service.
///
/// The signer gets the full data to sign, so it can show or refuse the data. The wallet checks every signature before
/// it sends anything.
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
    /// The signer's address.
    fn address(&self) -> Address;

    /// Signs [`request.digest()`](SignRequest::digest).
    ///
    /// # Errors
    /// Any error. The wallet then sends nothing.
    fn sign(&self, request: &SignRequest<'_>) -> Result<Signature, Box<dyn StdError + Send + Sync>>;
}

/// The data to sign.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum SignRequest<'a> {
    /// A transaction of the wallet: a transfer, an approval, or a replacement of one.
    Transaction(&'a Transaction),
    /// An x402 payment, which another party sends to the chain.
    Authorization(&'a Authorization),
}

impl SignRequest<'_> {
    /// The 32 bytes to sign.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            SignRequest::Transaction(transaction) => transaction.digest(),
            SignRequest::Authorization(authorization) => authorization.digest(),
        }
    }
}

/// Signs, and checks the signature.
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
