//! Amounts of ether, for fees.

use std::fmt;

const ONE: u128 = 1_000_000_000_000_000_000;

/// An exact amount of ether for fees: a whole number of wei (10⁻¹⁸ ether).
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
    /// Creates an amount from wei.
    pub const fn new(wei: u128) -> Self {
        Wei(wei)
    }

    /// Creates an amount from gwei (10⁹ wei), the usual unit of fees.
    pub const fn from_gwei(gwei: u64) -> Self {
        Wei(gwei as u128 * 1_000_000_000)
    }

    /// The amount in wei.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for Wei {
    /// Writes the shortest decimal number of ether: `0.0015`.
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
