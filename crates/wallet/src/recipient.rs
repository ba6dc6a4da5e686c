//! The receiver of a payment.

use std::fmt;

use crate::address::Address;
use crate::chain::Chain;
use crate::error::{Error, Result};

/// The receiver of a payment: an address, and the user's name if the wallet knows it. Check the address before you pay.
///
/// Returned by [`Wallet::recipient`](crate::Wallet::recipient), or converted from an [`Address`].
///
/// ```no_run
/// # fn demo(wallet: &crustocean_wallet::Wallet) -> Result<(), Box<dyn std::error::Error>> {
/// let bob = wallet.recipient("@bob")?;
/// println!("{bob}"); // @bob (0x…)
/// // The address is known from the last payment: a different one is an error.
/// let bob = bob.pinned_to("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse()?)?;
/// wallet.send(bob, "5".parse()?)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    username: Option<String>,
    address: Address,
}

impl Recipient {
    pub(crate) fn user(username: String, address: Address) -> Self {
        Recipient { username: Some(username), address }
    }

    /// The address that receives the payment.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The username without `@`. `None` for a receiver that was given as an address.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// Checks that the receiver has this address.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the receiver has another address.
    pub fn pinned_to(self, address: Address) -> Result<Self> {
        if self.address != address {
            return Err(Error::invalid(format!(
                "{self} is not paid at {address}, which is expected: ask them before you pay"
            )));
        }
        Ok(self)
    }

    /// The receiver's name in a report.
    pub(crate) fn payee(&self) -> String {
        self.username.as_ref().map_or_else(|| self.address.to_string(), |name| format!("@{name}"))
    }

    /// Rejects addresses at which money would be lost.
    pub(crate) fn check(&self, chain: Chain) -> Result<()> {
        if self.address.is_zero() {
            return Err(Error::invalid("the address is zero: the money would be lost"));
        }
        if self.address == chain.usdc() {
            return Err(Error::invalid(
                "the address is the contract of USDC itself: the money would be lost",
            ));
        }
        Ok(())
    }
}

impl From<Address> for Recipient {
    fn from(address: Address) -> Self {
        Recipient { username: None, address }
    }
}

impl From<&Recipient> for Recipient {
    fn from(recipient: &Recipient) -> Self {
        recipient.clone()
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.username {
            Some(name) => write!(f, "@{name} ({})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_can_be_pinned() {
        let (one, other) = (Address::new([1; 20]), Address::new([2; 20]));
        let bob = Recipient::user("bob".to_owned(), one);
        assert_eq!((bob.payee().as_str(), bob.to_string()), ("@bob", format!("@bob ({one})")));
        assert_eq!(bob.clone().pinned_to(one).unwrap(), bob);
        assert!(bob.pinned_to(other).unwrap_err().to_string().contains("is not paid at"));
        assert_eq!(Recipient::from(one).payee(), one.to_string());
    }

    #[test]
    fn money_is_not_thrown_away() {
        assert!(Recipient::from(Address::new([0; 20])).check(Chain::Base).is_err());
        assert!(Recipient::from(Chain::Base.usdc()).check(Chain::Base).is_err());
        assert!(Recipient::from(Chain::Base.usdc()).check(Chain::BaseSepolia).is_ok());
    }
}
