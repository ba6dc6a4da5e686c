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
    /// A text packet. Its type was checked.
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

/// Whether a packet was added to a [`PayloadBuilder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Taken,
    /// Not added: send this body first, and add the packet to the next one.
    Full,
    /// Not possible: the server would refuse the packet.
    TooLarge,
}

/// A body that is being built, never larger than the server accepts.
#[derive(Debug)]
pub(crate) struct PayloadBuilder {
    text: String,
    max: usize,
}

impl PayloadBuilder {
    /// `max_payload` is the value in [`Handshake`](engine_io::Handshake).
    pub(crate) fn new(max_payload: Option<usize>) -> Self {
        PayloadBuilder { text: String::new(), max: max_payload.unwrap_or(usize::MAX) }
    }

    /// Adds a text packet.
    pub(crate) fn push_text(&mut self, packet: &str) -> Fit {
        let fit = self.fit(packet.len());
        if fit == Fit::Taken {
            self.separate();
            self.text.push_str(packet);
        }
        fit
    }

    /// Adds a binary message.
    pub(crate) fn push_binary(&mut self, bytes: &[u8]) -> Fit {
        let fit = self.fit(bytes.len().div_ceil(3).saturating_mul(4).saturating_add(1));
        if fit == Fit::Taken {
            self.separate();
            self.text.push(BINARY);
            BASE64.encode_string(bytes, &mut self.text);
        }
        fit
    }

    fn fit(&self, size: usize) -> Fit {
        let separator = usize::from(!self.text.is_empty());
        if size > self.max {
            Fit::TooLarge
        } else if self.text.len() + separator + size > self.max {
            Fit::Full
        } else {
            Fit::Taken
        }
    }

    fn separate(&mut self) {
        if !self.text.is_empty() {
            self.text.push(SEPARATOR);
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
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
        let mut written = PayloadBuilder::new(None);
        for part in &texts {
            let PayloadPart::Text(text) = part else { panic!() };
            assert_eq!(written.push_text(text), Fit::Taken);
        }
        assert_eq!(written.into_text(), body);
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
        let mut written = PayloadBuilder::new(Some(body.len()));
        assert_eq!(written.push_text("4test"), Fit::Taken);
        assert_eq!(written.push_binary(&[1, 2, 3, 4]), Fit::Taken);
        assert_eq!(written.push_binary(&[]), Fit::Taken);
        assert_eq!(written.push_text("2"), Fit::Taken);
        assert_eq!(written.into_text(), body);
    }

    #[test]
    fn t10_base64_that_begins_with_4_is_base64() {
        assert_eq!(parts("b4OHi").unwrap(), [PayloadPart::Binary(vec![0xe0, 0xe1, 0xe2])]);
    }

    #[test]
    fn t94_a_body_is_never_too_large() {
        let mut body = PayloadBuilder::new(Some(10));
        assert_eq!(body.push_text("412345678901"), Fit::TooLarge);
        assert_eq!(body.push_binary(&[0; 7]), Fit::TooLarge, "13 bytes as base64");
        assert_eq!(body.push_text("4é"), Fit::Taken);
        assert_eq!(body.push_text("412345"), Fit::Taken, "3 + 1 + 6");
        assert_eq!(body.push_text("2"), Fit::Full);
        let text = body.into_text();
        assert_eq!((text.len(), text.as_str()), (10, "4é\x1e412345"));
        let mut body = PayloadBuilder::new(Some(9));
        assert_eq!(body.push_binary(&[0; 6]), Fit::Taken, "exactly");
        assert_eq!(body.push_binary(&[]), Fit::Full);
    }
}
