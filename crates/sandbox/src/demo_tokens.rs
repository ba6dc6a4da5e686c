//! The tokens of the demo, which stay the same across restarts.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ids;

const FILE: &str = "demo.json";

/// The tokens of the demo's user and agent. The data has only hashes of tokens, so a separate file stores these tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DemoTokens {
    pub(crate) user: String,
    pub(crate) agent: String,
}

impl DemoTokens {
    fn new() -> Self {
        let secret = || ids::hex(&ids::random::<24>());
        DemoTokens { user: format!("cru_{}", secret()), agent: format!("sk_{}", secret()) }
    }

    /// Loads the tokens from the folder, or creates new ones.
    pub(crate) fn load(folder: Option<&Path>) -> io::Result<Self> {
        let Some(path) = folder.map(|folder| folder.join(FILE)) else { return Ok(Self::new()) };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let what = format!("{}: {error}. Delete it to get new tokens", path.display());
                io::Error::new(io::ErrorKind::InvalidData, what)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let tokens = Self::new();
                write_private(&path, &serde_json::to_vec(&tokens)?)?;
                Ok(tokens)
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
}

/// Writes a file that only its owner can read, on systems with file permissions.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, bytes)
}
