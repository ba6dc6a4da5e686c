//! Addresses and transaction hashes.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::hex;
use crate::keccak::keccak;

/// An address: 20 bytes. `Display` writes it with the EIP-55 checksum, in uppercase and lowercase letters.
///
/// ```
/// let address: crustocean_wallet::Address = "0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse()?;
/// assert_eq!(address.to_string(), "0x036CbD53842c5426634e7929541eC2318f3dCF7e");
/// # Ok::<(), crustocean_wallet::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

impl Address {
    /// Creates an address from its bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Address(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Whether all bytes are zero. Nobody owns this address; money sent to it is lost.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 20]
    }

    /// The address as a call's argument: 32 bytes, with leading zeros.
    pub(crate) fn word(&self) -> [u8; 32] {
        let mut word = [0; 32];
        for (to, from) in word.iter_mut().skip(12).zip(self.0) {
            *to = from;
        }
        word
    }

    /// Reads an address from a word of 32 bytes. `None` if the word is not an address.
    pub(crate) fn from_word(word: &[u8; 32]) -> Option<Self> {
        let (zeros, address) = word.split_first_chunk::<12>()?;
        (*zeros == [0; 12]).then_some(Address(address.try_into().ok()?))
    }

    /// The address of a public key, given without its leading 4.
    pub(crate) fn of_public_key(point: &[u8]) -> Self {
        let hash = keccak(&[point]);
        let mut address = [0; 20];
        for (to, from) in address.iter_mut().zip(hash.into_iter().skip(12)) {
            *to = from;
        }
        Address(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = hex::encode(&self.0);
        let digits = plain.strip_prefix("0x").unwrap_or(&plain);
        let hash = keccak(&[digits.as_bytes()]);
        let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        f.write_str("0x")?;
        for (digit, nibble) in digits.chars().zip(nibbles) {
            let digit = if nibble >= 8 { digit.to_ascii_uppercase() } else { digit };
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Parses an address with only lowercase letters, only uppercase letters, or a correct checksum.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text is not `0x` and 40 hexadecimal digits, or if the checksum is
    /// wrong, which shows a typing error.
    fn from_str(text: &str) -> Result<Self> {
        let address = hex::decode(text)
            .map(Address)
            .ok_or_else(|| Error::invalid("an address is \"0x\" and 40 hexadecimal digits: copy it again"))?;
        let digits = text.get(2..).unwrap_or_default();
        let mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase())
            && digits.bytes().any(|byte| byte.is_ascii_uppercase());
        if mixed && address.to_string().get(2..) != Some(digits) {
            return Err(Error::invalid(
                "the checksum of the address is wrong (its capital and small letters): copy it again",
            ));
        }
        Ok(address)
    }
}

/// The hash of a transaction: 32 bytes. The wallet knows it before it sends the transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxHash([u8; 32]);

impl TxHash {
    /// Creates a hash from its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        TxHash(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TxHash {
    type Err = Error;

    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text is not `0x` and 64 hexadecimal digits. The error does not
    /// contain the text, which might be a key.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::invalid("a transaction's hash is \"0x\" and 64 hexadecimal digits");
        hex::decode(text).map(TxHash).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_eip_55() {
        for address in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert_eq!(address.parse::<Address>().unwrap().to_string(), address);
            assert_eq!(address.to_lowercase().parse::<Address>().unwrap().to_string(), address);
            let wrong = address.replacen('d', "D", 1);
            assert!(
                wrong == address || wrong.parse::<Address>().unwrap_err().to_string().contains("checksum")
            );
        }
        for bad in ["", "0x", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "@bob"] {
            assert!(bad.parse::<Address>().unwrap_err().to_string().contains("40 hexadecimal"), "{bad}");
        }
    }

    #[test]
    fn words() {
        let address = Address::new([7; 20]);
        assert_eq!(Address::from_word(&address.word()), Some(address));
        assert_eq!(Address::from_word(&[1; 32]), None);
    }
}
