//! Base64 by its standard alphabet (RFC 4648, section 4).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    // Long enough from the beginning: it may be a password, and a string that moves leaves it behind.
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    encode_into(bytes, &mut text);
    text
}

pub(crate) fn encode_into(bytes: &[u8], into: &mut String) {
    let sign = |six: u32| ALPHABET.get(six as usize & 63).copied().map_or('=', char::from);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            into.push(if at <= three.len() { sign(bits >> (18 - 6 * at)) } else { '=' });
        }
    }
}

/// The padding may be missing, but what there is must be right.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if padding > 2 || padding > 0 && !text.len().is_multiple_of(4) || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for four in digits.as_bytes().chunks(4) {
        let mut bits = 0;
        for digit in four {
            bits = bits << 6 | value(*digit)?;
        }
        let bits = bits << (6 * (4 - four.len()));
        let [_, decoded @ ..] = bits.to_be_bytes();
        bytes.extend(decoded.iter().take(four.len() - 1));
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b47_as_servers_and_enemies_write_it() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zg", b"f"),
            ("Zm8=", b"fo"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
        }
        for bad in ["Z", "Zg=", "=", "====", "Zg==Zg==", "Zm9vY", "-_-_", "Zm 9", "Zm\n9", "Zmü", "Zg==="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        for length in 0..200u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37)).collect();
            let text = encode(&bytes);
            assert_eq!(text.len(), bytes.len().div_ceil(3) * 4);
            assert_eq!(decode(&text), Some(bytes));
        }
    }
}
