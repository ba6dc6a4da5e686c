//! HMAC-SHA256 signatures of webhooks (RFC 2104), in hex.

use std::hint::black_box;

use hmac_sha256::Hash;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, ErrorKind, Result};
use crate::token::{AgentToken, WebhookSecret};

/// The header with the signature of the platform's webhook requests.
pub const SIGNATURE_HEADER: &str = "X-Crustocean-Signature";

/// The block size of SHA-256, in bytes.
const BLOCK: usize = 64;
const DIGEST: usize = 32;

impl WebhookSecret {
    /// Signs a body: HMAC-SHA256 in lowercase hex. Useful for tests of your receiver.
    pub fn sign(&self, body: &[u8]) -> String {
        hex(&hmac_sha256(self.expose().as_bytes(), body))
    }

    /// Checks the signature of a body. Pass the exact bytes of the request, before any JSON is read.
    ///
    /// The platform does not document the form of the header, so `verify` accepts hex in lowercase or uppercase, with
    /// or without `sha256=`. The comparison takes the same time for every signature.
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) if the signature is wrong.
    /// [`Config`](crate::ErrorKind::Config) if the secret is empty, because anybody could sign with it.
    pub fn verify(&self, body: &[u8], signature: &str) -> Result<()> {
        if self.expose().trim().is_empty() {
            return Err(Error::config(
                "the secret of this webhook is empty, so anybody could sign with it: set a secret",
            ));
        }
        let expected = hmac_sha256(self.expose().as_bytes(), body);
        let given = unhex(signature).ok_or_else(|| {
            Error::new(
                ErrorKind::Unauthorized,
                "the signature is missing, or is not that of a webhook (64 hex digits)",
            )
        })?;
        let difference =
            expected.iter().zip(&given).fold(0, |all, (one, other)| black_box(all | (one ^ other)));
        if difference != 0 {
            let text = "the signature is not that of this body and secret: do not trust what it says";
            return Err(Error::new(ErrorKind::Unauthorized, text));
        }
        Ok(())
    }
}

impl AgentToken {
    /// Signs the answer of a response webhook with the agent's token, as the platform requires: HMAC-SHA256 over the
    /// exact bytes of the body, in lowercase hex. [`PromptReply::sign`](crate::webhook::PromptReply::sign) builds and
    /// signs an answer.
    pub fn sign(&self, body: &[u8]) -> String {
        hex(&hmac_sha256(self.expose().as_bytes(), body))
    }
}

/// Calculates HMAC-SHA256. The crate hmac-sha256 has this function, too, but leaves the key in memory.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; DIGEST] {
    let mut block = Zeroizing::new([0; BLOCK]);
    if key.len() > BLOCK {
        let mut hashed = Hash::hash(key);
        fill(&mut block, &hashed);
        hashed.zeroize();
    } else {
        fill(&mut block, key);
    }
    let keyed = |with: u8, message: &[u8]| {
        let mut hash = Hash::new();
        hash.update(*Zeroizing::new(block.map(|byte| byte ^ with)));
        hash.update(message);
        hash.finalize()
    };
    keyed(0x5c, &keyed(0x36, message))
}

fn fill(block: &mut [u8; BLOCK], key: &[u8]) {
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; DIGEST]> {
    let text = text.trim();
    let text = match text.split_once('=') {
        Some((name, digits)) if name.eq_ignore_ascii_case("sha256") => digits,
        _ => text,
    };
    if text.len() != 2 * DIGEST {
        return None;
    }
    let mut digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    let mut bytes = [0; DIGEST];
    for byte in &mut bytes {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, message and HMAC-SHA256 from RFC 4231, section 4. Case 5 is omitted: it tests a truncated hash, which
    /// this crate does not use.
    fn rfc_4231() -> [(Vec<u8>, Vec<u8>, &'static str); 6] {
        let long = b"This is a test using a larger than block-size key and a larger than block-size data. \
            The key needs to be hashed before being used by the HMAC algorithm.";
        [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                (1..=25).collect(),
                vec![0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                long.to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ]
    }

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        for (key, message, expected) in rfc_4231() {
            assert_eq!(hex(&hmac_sha256(&key, &message)), expected);
        }
        let secret = WebhookSecret::try_from("Jefe").unwrap();
        let token: AgentToken = "Jefe".parse().unwrap();
        let message = b"what do ya want for nothing?";
        assert_eq!(secret.sign(message), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(secret.sign(message), token.sign(message));
    }

    #[test]
    fn a_signature_is_taken_in_every_form_and_no_other() {
        let secret = WebhookSecret::try_from("only we know").unwrap();
        let body = "{\"é\":1}".as_bytes();
        let good = secret.sign(body);
        for form in [
            good.clone(),
            good.to_uppercase(),
            format!("sha256={good}"),
            format!("SHA256={}", good.to_uppercase()),
            format!("  {good}\r\n"),
        ] {
            secret.verify(body, &form).unwrap();
        }
        let other = WebhookSecret::try_from("only they know").unwrap().sign(body);
        let mut last = good.clone();
        last.replace_range(63.., if good.ends_with('0') { "1" } else { "0" });
        for bad in [
            "",
            "sha256=",
            good.get(..63).unwrap(),
            &format!("{good}0"),
            &format!("sha1={good}"),
            &format!("sha256=sha256={good}"),
            &format!("+{}", good.get(1..).unwrap()),
            &format!("é{}", good.get(2..).unwrap()),
            &format!("é{}", good.get(1..).unwrap()),
            &other,
            &last,
        ] {
            let error = secret.verify(body, bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthorized, "{bad}");
            assert!(!format!("{error} {error:?}").contains(&good), "{error:?}");
        }
        assert!(secret.verify(b"{\"e\":1}", &good).is_err());
    }

    #[test]
    fn an_empty_secret_vouches_for_nothing() {
        let secret: WebhookSecret = serde_json::from_str("\"\"").unwrap();
        let error = secret.verify(b"x", &secret.sign(b"x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().ends_with("set a secret"), "{error}");
    }
}
