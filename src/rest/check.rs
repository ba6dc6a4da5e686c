//! The platform's rules, checked before a request is sent (source: docs.crustocean.chat, pages "Authentication",
//! "Tokens", "Deploy a hook", "Hooks" and "Report a payment").

use crate::blank::is_blank;
use crate::error::{Error, Result};

const MAX_CODE: usize = 64 * 1024;

/// The name of an account.
pub(super) fn username(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !(2..=24).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(Error::invalid("a username is 2 to 24 letters (a to z), digits, \"_\" or \"-\""));
    }
    Ok(())
}

/// The name of an agent. The documentation specifies only its length.
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

/// The name of a command. The server converts it to lowercase and drops all characters except letters and digits. A
/// slash is refused, because it is most likely a mistake.
pub(super) fn command_name(name: &str) -> Result<()> {
    if name.contains('/') || !name.chars().any(|c| c.is_ascii_alphanumeric()) {
        return Err(Error::invalid("a command's name is letters and digits, without the slash"));
    }
    Ok(())
}

/// The slug of a native hook.
pub(super) fn slug(slug: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if slug.is_empty() || !slug.chars().all(allowed) {
        return Err(Error::invalid("a hook's slug is lowercase letters (a to z), digits and \"-\""));
    }
    Ok(())
}

/// The code of a native hook.
pub(super) fn code(code: &str) -> Result<()> {
    if code.is_empty() || code.len() > MAX_CODE {
        let text = format!("the code of a hook is 1 to {MAX_CODE} bytes (64 KB), this is {}", code.len());
        return Err(Error::invalid(text));
    }
    Ok(())
}

pub(super) fn address(address: &str) -> Result<()> {
    if !is_hex(address, 40) {
        return Err(Error::invalid("an address is \"0x\" and 40 hexadecimal digits"));
    }
    Ok(())
}

pub(super) fn transaction(hash: &str) -> Result<()> {
    if !is_hex(hash, 64) {
        return Err(Error::invalid("a transaction's hash is \"0x\" and 64 hexadecimal digits"));
    }
    Ok(())
}

pub(super) fn payee(to: &str) -> Result<()> {
    match to.strip_prefix('@') {
        Some(name) if !name.is_empty() => Ok(()),
        None if is_hex(to, 40) => Ok(()),
        _ => Err(Error::invalid("a payment goes to \"@username\" or to \"0x\" and 40 hexadecimal digits")),
    }
}

/// A decimal number as text.
pub(super) fn amount(amount: &str) -> Result<()> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(Error::invalid("an amount is a decimal number such as \"5\" or \"0.25\""));
    }
    Ok(())
}

fn is_hex(text: &str, digits: usize) -> bool {
    let hex = text.strip_prefix("0x").unwrap_or_default();
    hex.len() == digits && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks the text of a hook's message.
///
/// # Errors
/// `Invalid` if the text is empty or contains only white space.
pub(super) fn text(text: &str) -> Result<()> {
    if is_blank(text) {
        return Err(Error::invalid("the message has no text: a text of white space only is not sent"));
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

    #[test]
    fn so_do_the_rules_of_hooks_and_payments() {
        fn holds(rule: fn(&str) -> Result<()>, good: &[&str], bad: &[&str]) {
            for text in good {
                rule(text).unwrap();
            }
            for text in bad {
                assert!(rule(text).is_err(), "{text:?}");
            }
        }
        let (full, over) = ("x".repeat(MAX_CODE), "x".repeat(MAX_CODE + 1));
        let address = &format!("0x{}", "aB".repeat(20));
        let hash = &format!("0x{}", "09".repeat(32));
        holds(command_name, &["roll", "Roll 2"], &["", "/roll", "--", "a/b"]);
        holds(slug, &["dice", "a-1"], &["", "Dice", "a_b", "a b", "é"]);
        holds(code, &["x", &full], &["", &over]);
        holds(super::address, &[address], &["", "0x", &address.replace("0x", "0y"), &format!("{address}0")]);
        holds(transaction, &[hash], &[address, &hash.replace('9', "g")]);
        holds(payee, &["@bob", address], &["bob", "@", "0x12", hash]);
        holds(amount, &["5", "0.25", "10.00"], &["", ".", "1.", ".5", "-1", "1e3", "1,5", "5 USDC"]);
    }
}
