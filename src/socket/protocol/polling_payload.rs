//! Engine.IO 4 over HTTP: several packets in one body, as pure functions.
//!
//! `body = part *( 0x1e part )`. A part is a text packet as over WebSocket, or `b` and base64 for a binary message.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Error, Result};
use crate::socket::protocol::engine_io;

pub(crate) const SEPARATOR: char = '\x1e';
const BINARY: char = 'b';
/// Incoming base64 may lack padding and have extra bits, as in Node.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A packet of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PayloadPart<'a> {
    /// A text packet with a known type.
    Text(&'a str),
    Binary(Vec<u8>),
}

/// The packets of a body, in order. The first invalid packet is an error and the last item.
pub(crate) fn decode(body: &str) -> impl Iterator<Item = Result<PayloadPart<'_>>> {
    let mut parts = Some(body.split(SEPARATOR));
    std::iter::from_fn(move || {
        let part = decode_part(parts.as_mut()?.next()?);
        if part.is_err() {
            parts = None;
        }
        Some(part)
    })
}

fn decode_part(part: &str) -> Result<PayloadPart<'_>> {
    if let Some(text) = part.strip_prefix(BINARY) {
        let bytes = BASE64
            .decode(text)
            .map_err(|error| Error::protocol("the server sent bad base64").with_source(error))?;
        return Ok(PayloadPart::Binary(bytes));
    }
    engine_io::decode(part)?;
    Ok(PayloadPart::Text(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b47_base64_as_servers_and_enemies_write_it() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zg=", b"f"),
            ("Zg", b"f"),
            ("Zh", b"f"),
            ("Zm8=", b"fo"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(BASE64.decode(text).unwrap(), bytes, "{text}");
        }
        for bad in ["Z", "=", "====", "Zg==Zg==", "Zm9vY", "-_-_", "Zm 9", "Zm\n9", "Zmü", "Zg==="] {
            assert!(parts(&format!("b{bad}")).is_err(), "{bad}");
        }
    }

    fn parts(body: &str) -> Result<Vec<PayloadPart<'_>>> {
        decode(body).collect()
    }

    #[test]
    fn t03_every_type_of_packet() {
        let body = "0{}\x1e1\x1e2probe\x1e3probe\x1e4test\x1e6";
        let texts = ["0{}", "1", "2probe", "3probe", "4test", "6"].map(PayloadPart::Text);
        assert_eq!(parts(body).unwrap(), texts);
    }

    #[test]
    fn t04_decoding_stops_at_the_first_error() {
        for body in ["{", "{}", "[\"a123\", \"a456\"]", "4a\x1ex\x1e4b"] {
            let results: Vec<_> = decode(body).collect();
            assert_eq!(results.iter().filter(|part| part.is_err()).count(), 1, "{body}");
            assert!(results.last().unwrap().is_err(), "{body}");
        }
    }

    #[test]
    fn b46_empty_parts() {
        for body in ["", "\x1e", "\x1e\x1e", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b"] {
            assert!(parts(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn t06_t08_t09_binary_between_texts() {
        let body = "4test\x1ebAQIDBA==\x1eb\x1e2";
        let expected = [
            PayloadPart::Text("4test"),
            PayloadPart::Binary(vec![1, 2, 3, 4]),
            PayloadPart::Binary(vec![]),
            PayloadPart::Text("2"),
        ];
        assert_eq!(parts(body).unwrap(), expected);
    }

    #[test]
    fn t10_base64_that_begins_with_4_is_base64() {
        assert_eq!(parts("b4OHi").unwrap(), [PayloadPart::Binary(vec![0xe0, 0xe1, 0xe2])]);
    }
}
