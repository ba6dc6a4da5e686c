//! Hexadecimal text with `0x`, the notation of blockchain APIs.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit)));
        }
    }
    text
}

/// Decodes `0x` and exactly `2 * N` digits.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    digits(text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?)
}

/// Decodes exactly `2 * N` digits, without `0x`.
pub(crate) fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = (value(*high)? << 4) | value(*low)?;
    }
    Some(bytes)
}

/// Decodes a number of JSON-RPC: `0x` and at least one digit. Leading zeros are accepted.
pub(crate) fn quantity(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x")?;
    let significant = digits.trim_start_matches('0');
    if digits.is_empty() || significant.len() > 32 {
        return None;
    }
    significant.bytes().try_fold(0, |number, digit| Some((number << 4) | u128::from(value(digit)?)))
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes() {
        assert_eq!(encode(&[]), "0x");
        assert_eq!(encode(&[0, 0xab, 0x1f]), "0x00ab1f");
        assert_eq!(decode::<3>("0x00aB1f"), Some([0, 0xab, 0x1f]));
        for bad in ["00ab1f", "0x00ab1", "0x00ab1g", "0x00ab1f0", "0x+0ab1f", "0x", ""] {
            assert_eq!(decode::<3>(bad), None, "{bad}");
        }
    }

    #[test]
    fn quantities() {
        assert_eq!(quantity("0x0"), Some(0));
        assert_eq!(quantity("0x1F"), Some(31));
        assert_eq!(quantity(&format!("0x{}ff", "0".repeat(62))), Some(255));
        assert_eq!(quantity(&format!("0x{}", "f".repeat(32))), Some(u128::MAX));
        for bad in ["0x", "1f", "0xg", "0x-1", &format!("0x1{}", "0".repeat(32))] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }
}
