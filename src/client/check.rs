//! Rules of the platform that are checked before anything is sent (docs.crustocean.chat, pages "Authentication" and
//! "Tokens").

use crate::error::{Error, Result};

/// Of an account.
pub(super) fn username(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !(2..=24).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(Error::invalid("a username is 2 to 24 letters (a to z), digits, \"_\" or \"-\""));
    }
    Ok(())
}

/// Of an agent: the documentation gives the length only.
pub(super) fn agent_name(name: &str) -> Result<()> {
    if !(2..=24).contains(&name.chars().count()) {
        return Err(Error::invalid("an agent's name has 2 to 24 characters"));
    }
    Ok(())
}

pub(super) fn password(password: &str) -> Result<()> {
    if password.chars().count() < 8 {
        return Err(Error::invalid("a password has at least 8 characters"));
    }
    Ok(())
}

pub(super) fn token_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.chars().count() > 64 {
        return Err(Error::invalid("a personal access token's name has 1 to 64 characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_hold_at_their_ends() {
        for good in ["ab", "A-b_9", &"x".repeat(24)] {
            username(good).unwrap();
            agent_name(good).unwrap();
        }
        for bad in ["", "a", &"x".repeat(25), "a b", "@ab", "été"] {
            assert!(username(bad).unwrap_err().to_string().contains("2 to 24"), "{bad}");
        }
        assert!(agent_name("a").is_err() && agent_name(&"x".repeat(25)).is_err());
        assert!(password("1234567").is_err() && password("12345678").is_ok());
        assert!(token_name(&"x".repeat(64)).is_ok() && token_name(&"x".repeat(65)).is_err());
        assert!(token_name("").is_err() && token_name(" ").is_err());
    }
}
