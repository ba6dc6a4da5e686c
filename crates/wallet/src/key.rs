//! A private key in memory.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

use k256::ecdsa::SigningKey;
use zeroize::{Zeroize as _, Zeroizing};

use crate::address::Address;
use crate::error::{Error, Result};
use crate::hex;
use crate::signature::Signature;
use crate::signer::{SignRequest, Signer};

const VARIABLE: &str = "CRUSTOCEAN_WALLET_KEY";

/// A private key. Dropping it wipes it. No `Debug`, error or log contains the key; only [`expose`](Key::expose) returns
/// it.
///
/// ```
/// use crustocean_wallet::Key;
///
/// let key = Key::generate()?;
/// println!("address {}, keep this secret: CRUSTOCEAN_WALLET_KEY={}", key.address(), key.expose().as_str());
/// # Ok::<(), crustocean_wallet::Error>(())
/// ```
pub struct Key {
    secret: SigningKey,
    address: Address,
}

impl Key {
    /// Creates a new key from the system's random source.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the system has no random source.
    pub fn generate() -> Result<Self> {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            getrandom::fill(bytes.as_mut())
                .map_err(|cause| Error::config(format!("the system gives no randomness: {cause}")))?;
            // One in 2^128 values is out of range.
            if let Ok(key) = Key::from_bytes(&bytes) {
                return Ok(key);
            }
        }
    }

    /// Reads the key from the environment variable `CRUSTOCEAN_WALLET_KEY`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the variable is not set, [`Invalid`](crate::ErrorKind::Invalid) if its
    /// value is not a key.
    pub fn from_env() -> Result<Self> {
        let text = std::env::var(VARIABLE).map(Zeroizing::new);
        let text = text.map_err(|_| Error::config(format!("set {VARIABLE} to the wallet's private key")))?;
        text.parse().map_err(|error| Error::invalid(format!("{VARIABLE}: {error}")))
    }

    /// The key as text for storage: `0x` and 64 hexadecimal digits. Dropping the text wipes it.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut bytes: [u8; 32] = self.secret.to_bytes().into();
        let text = Zeroizing::new(hex::encode(&bytes));
        bytes.zeroize();
        text
    }

    /// The key's address.
    pub fn address(&self) -> Address {
        self.address
    }

    fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        let secret = SigningKey::from_slice(bytes)
            .map_err(|_| Error::invalid("a private key is not zero and below the order of the curve"))?;
        let point = secret.verifying_key().to_sec1_point(false);
        let address = Address::of_public_key(point.as_bytes().get(1..).unwrap_or_default());
        Ok(Key { secret, address })
    }
}

impl FromStr for Key {
    type Err = Error;

    /// Parses 64 hexadecimal digits, with or without `0x`. Ignores white space around them.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with the reason. The error does not contain the text.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.starts_with(['"', '\'']) {
            return Err(Error::invalid("the private key is in quotes: leave them out"));
        }
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::digits(digits).map(Zeroizing::new).ok_or_else(|| {
            Error::invalid(format!(
                "a private key is 64 hexadecimal digits, with or without \"0x\" in front; this has {} characters: copy \
                 it whole",
                digits.chars().count()
            ))
        })?;
        Key::from_bytes(&bytes)
    }
}

impl TryFrom<String> for Key {
    type Error = Error;

    /// Wipes the given string.
    fn try_from(text: String) -> Result<Self> {
        Zeroizing::new(text).parse()
    }
}

impl Signer for Key {
    fn address(&self) -> Address {
        self.address
    }

    fn sign(&self, request: &SignRequest<'_>) -> Result<Signature, Box<dyn StdError + Send + Sync>> {
        let (signature, recovery) = self.secret.sign_prehash_recoverable(&request.digest());
        let (r, s) = signature.split_bytes();
        Ok(Signature { r: r.into(), s: s.into(), y_odd: recovery.is_y_odd() })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(of {})", self.address)
    }
}
