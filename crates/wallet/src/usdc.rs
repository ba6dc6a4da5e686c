//! Exact amounts of USDC.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// One USDC in the contract's units.
const ONE: u64 = 1_000_000;
const DECIMALS: usize = 6;

/// An exact amount of USDC: a whole number of millionths, without floating point.
///
/// `parse` reads decimal text and rounds nothing: more than six decimals, zero, a sign, and amounts that are too large
/// are errors.
///
/// ```
/// use crustocean_wallet::Usdc;
///
/// let price: Usdc = "0.25".parse()?;
/// assert_eq!((price.units(), price.to_string().as_str()), (250_000, "0.25"));
/// assert!("1.1234567".parse::<Usdc>().is_err());
/// assert!("0".parse::<Usdc>().is_err());
/// # Ok::<(), crustocean_wallet::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usdc(u64);

impl Usdc {
    /// Zero: the balance of an empty wallet, or the amount that revokes an approval. The wallet makes no payment of
    /// zero.
    pub const ZERO: Usdc = Usdc(0);

    /// Creates an amount from millionths of a USDC, the contract's unit.
    pub const fn from_units(units: u64) -> Self {
        Usdc(units)
    }

    /// The amount in millionths of a USDC, the contract's unit.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// The sum. `None` if it is too large.
    #[must_use]
    pub fn checked_add(self, other: Usdc) -> Option<Usdc> {
        self.0.checked_add(other.0).map(Usdc)
    }

    /// The difference. `None` if it would be negative.
    #[must_use]
    pub fn checked_sub(self, other: Usdc) -> Option<Usdc> {
        self.0.checked_sub(other.0).map(Usdc)
    }

    /// The amount as a call's argument.
    pub(crate) fn word(self) -> [u8; 32] {
        let mut word = [0; 32];
        for (to, from) in word.iter_mut().skip(24).zip(self.0.to_be_bytes()) {
            *to = from;
        }
        word
    }

    pub(crate) fn not_zero(self) -> Result<Self> {
        if self.0 == 0 { Err(Error::invalid("the amount is zero")) } else { Ok(self) }
    }
}

impl FromStr for Usdc {
    type Err = Error;

    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) names the rule that the text breaks.
    fn from_str(text: &str) -> Result<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if text.starts_with('-') {
            return Err(Error::invalid("an amount cannot be negative"));
        }
        if !digits(whole) || !digits(fraction) {
            return Err(Error::invalid("an amount of USDC is a decimal number such as \"5\" or \"0.25\""));
        }
        if fraction.len() > DECIMALS {
            return Err(Error::invalid("USDC has six decimals at most: write fewer, nothing is rounded"));
        }
        let too_large = || Error::invalid("the amount is too large");
        let scale = 10_u64.pow(u32::try_from(DECIMALS - fraction.len()).unwrap_or(0));
        let fraction = fraction.parse::<u64>().map_err(|_| too_large())? * scale;
        let whole = whole.parse::<u64>().map_err(|_| too_large())?;
        let units = whole.checked_mul(ONE).and_then(|units| units.checked_add(fraction));
        Usdc(units.ok_or_else(too_large)?).not_zero()
    }
}

impl fmt::Display for Usdc {
    /// Writes the shortest decimal number: `5`, `0.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / ONE, self.0 % ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:06}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl fmt::Debug for Usdc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} USDC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_to_units() {
        for (text, units) in [
            ("5", 5_000_000),
            ("0.25", 250_000),
            ("0.000001", 1),
            ("5.00", 5_000_000),
            ("007.1", 7_100_000),
            ("18446744073709.551615", u64::MAX),
        ] {
            assert_eq!(text.parse::<Usdc>().unwrap().units(), units, "{text}");
        }
        for (text, rule) in [
            ("1.1234567", "six decimals"),
            ("0.0000001", "six decimals"),
            ("1.0000000", "six decimals"),
            ("0", "zero"),
            ("0.000000", "zero"),
            ("-1", "negative"),
            ("-0", "negative"),
            ("18446744073709.551616", "too large"),
            ("18446744073710", "too large"),
            ("99999999999999999999999", "too large"),
        ] {
            assert!(text.parse::<Usdc>().unwrap_err().to_string().contains(rule), "{text}");
        }
        for text in
            ["", ".", "1.", ".5", "+1", "1e3", "1,5", "5 USDC", " 5", "٣", "1.5.1", "0x5", "NaN", "1_000"]
        {
            assert!(text.parse::<Usdc>().unwrap_err().to_string().contains("decimal number"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(units in 1..=u64::MAX) {
            let amount = Usdc::from_units(units);
            prop_assert_eq!(amount.to_string().parse::<Usdc>().unwrap(), amount);
        }

        #[test]
        fn any_text_is_an_amount_or_an_error(text in ".{0,30}") {
            if let Ok(amount) = text.parse::<Usdc>() {
                prop_assert!(amount > Usdc::ZERO);
            }
        }
    }
}
