//! Checks the platform's rules before the crate sends a request (source: docs.crustocean.chat, pages "Authentication",
//! "Tokens", "Deploy a hook", "Hooks" and "Report a payment").

use crate::error::{Error, Result};

const MAX_CODE: usize = 64 * 1024;

fn rule(holds: bool, text: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::invalid(text)) }
}

/// The name of an account.
pub(super) fn username(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    rule(
        (2..=24).contains(&name.len()) && name.chars().all(allowed),
        "a username is 2 to 24 letters (a to z), digits, \"_\" or \"-\"",
    )
}

/// The name of an agent. The documentation specifies only its length.
pub(super) fn agent_name(name: &str) -> Result<()> {
    rule((2..=24).contains(&name.chars().count()), "an agent's name has 2 to 24 characters")
}

pub(super) fn password(password: &str) -> Result<()> {
    rule(password.chars().count() >= 8, "a password has at least 8 characters")
}

pub(super) fn token_name(name: &str) -> Result<()> {
    rule(
        !name.trim().is_empty() && name.chars().count() <= 64,
        "a personal access token's name has 1 to 64 characters",
    )
}

/// The name of a command. The server converts it to lowercase and drops all characters except letters and digits.
/// Refuses a slash, because it is most likely a mistake.
pub(super) fn command_name(name: &str) -> Result<()> {
    rule(
        !name.contains('/') && name.chars().any(|c| c.is_ascii_alphanumeric()),
        "a command's name is letters and digits, without the slash",
    )
}

/// The slug of a native hook.
pub(super) fn slug(slug: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    rule(
        !slug.is_empty() && slug.chars().all(allowed),
        "a hook's slug is lowercase letters (a to z), digits and \"-\"",
    )
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
    rule(is_hex(address, 40), "an address is \"0x\" and 40 hexadecimal digits")
}

pub(super) fn transaction(hash: &str) -> Result<()> {
    rule(is_hex(hash, 64), "a transaction's hash is \"0x\" and 64 hexadecimal digits")
}

pub(super) fn payee(to: &str) -> Result<()> {
    let is_payee = to.strip_prefix('@').map_or(is_hex(to, 40), |name| !name.is_empty());
    rule(is_payee, "a payment goes to \"@username\" or to \"0x\" and 40 hexadecimal digits")
}

/// A decimal number as text.
pub(super) fn amount(amount: &str) -> Result<()> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    rule(digits(whole) && digits(fraction), "an amount is a decimal number such as \"5\" or \"0.25\"")
}

fn is_hex(text: &str, digits: usize) -> bool {
    let hex = text.strip_prefix("0x").unwrap_or_default();
    hex.len() == digits && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
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
