//! Ids, secrets and hashes.

use sha2::{Digest, Sha256};

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    if getrandom::fill(&mut bytes).is_err() {
        // No entropy source: a sandbox guards nothing, so a value that is merely unique will do.
        let unique = Sha256::digest(format!("{:?}", std::time::Instant::now()));
        for (byte, filler) in bytes.iter_mut().zip(unique) {
            *byte = filler;
        }
    }
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A random (version 4) UUID.
pub(crate) fn uuid() -> String {
    let number = u128::from_be_bytes(random::<16>());
    let number = number & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        number >> 96,
        number >> 80 & 0xffff,
        number >> 64 & 0xffff,
        number >> 48 & 0xffff,
        number & 0xffff_ffff_ffff
    )
}

pub(crate) fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// A salted hash of a password. One round is enough: it lives in the memory of a test server.
#[derive(Debug)]
pub(crate) struct PasswordHash {
    salt: String,
    hash: String,
}

impl PasswordHash {
    pub(crate) fn new(password: &str) -> Self {
        let salt = hex(&random::<16>());
        let hash = sha256(&format!("{salt}{password}"));
        PasswordHash { salt, hash }
    }

    pub(crate) fn matches(&self, password: &str) -> bool {
        sha256(&format!("{}{password}", self.salt)) == self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_the_version_and_the_variant() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]));
        assert_ne!(id, uuid());
    }

    #[test]
    fn passwords_are_salted() {
        let (one, two) = (PasswordHash::new("correct horse"), PasswordHash::new("correct horse"));
        assert_ne!(one.hash, two.hash);
        assert!(one.matches("correct horse") && !one.matches("wrong horse"));
    }
}
