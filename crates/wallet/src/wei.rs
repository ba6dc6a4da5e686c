//! Ether, which pays the fees.

use std::fmt;

const ONE: u128 = 1_000_000_000_000_000_000;

/// An amount of ether, exact: a whole number of wei, 10⁻¹⁸ of an ether. It pays the fees.
///
/// ```
/// use crustocean_wallet::Wei;
///
/// assert_eq!(Wei::new(1_500_000_000_000_000).to_string(), "0.0015");
/// assert_eq!(Wei::from_gwei(2), Wei::new(2_000_000_000));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wei(u128);

impl Wei {
    /// Of wei.
    pub const fn new(wei: u128) -> Self {
        Wei(wei)
    }

    /// Of gwei, 10⁹ wei: what fees are often told in.
    pub const fn from_gwei(gwei: u64) -> Self {
        Wei(gwei as u128 * 1_000_000_000)
    }

    /// In wei.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for Wei {
    /// The shortest decimal number of ether that means it: `0.0015`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / ONE, self.0 % ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:018}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl fmt::Debug for Wei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ETH")
    }
}
