//! Revokes personal access tokens that were not used for some days. Without `--yes` it only lists them.
//!
//! `CRUSTOCEAN_TOKEN=cru_… cargo run --example cleanup_tokens -- DAYS [--yes]`
//! Needs crustocean.

use std::time::{Duration, SystemTime};

use crustocean::{Client, Result};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(days) = args.first().and_then(|days| days.parse::<u64>().ok()) else {
        eprintln!("usage: cleanup_tokens DAYS [--yes]");
        std::process::exit(2);
    };
    let revoke = args.iter().any(|arg| arg == "--yes");
    let age = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
    let oldest = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);

    let client = Client::from_env()?; // CRUSTOCEAN_TOKEN, CRUSTOCEAN_API_URL
    let mine = std::env::var("CRUSTOCEAN_TOKEN").unwrap_or_default();
    for token in client.tokens().list()? {
        // A token that was never used counts from its creation.
        let used = token.last_used_at.as_ref().or(token.created_at.as_ref());
        let Some(used) = used.and_then(|time| time.to_system_time()) else { continue };
        // Skips the token that this program uses: the server's list may be some minutes old.
        let own =
            token.prefix.as_deref().is_some_and(|prefix| mine.starts_with(prefix.trim_end_matches('…')));
        if own || used >= oldest {
            continue;
        }
        match revoke {
            true => client.tokens().revoke(&token.id)?,
            false => print!("would have "),
        }
        println!("revoked {} ({})", token.name, token.id);
    }
    Ok(())
}
