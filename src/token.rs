//! The platform's credentials, a type each, so that a token opens only its own doors.
//!
//! Which token unlocks what: docs.crustocean.chat, page "SDK authentication".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};
use crate::json::read_text;

const PAT_PREFIX: &str = "cru_";
const CLAIM_PREFIX: &str = "cru_claim_";
const PAT_HEX_DIGITS: usize = 48;
/// The platform itself shows this much of a token in its lists.
const SHOWN_PREFIX: usize = 8;
/// Far above any token seen; a bound so that a file read by mistake does not become a header.
const MAX_LEN: usize = 4096;

/// A string that is wiped when dropped and never printed.
#[derive(Clone)]
struct Secret(String);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// What a person has typed or copied.
    fn typed(what: &str, text: &str, check: fn(&str) -> Result<()>) -> Result<Self> {
        // As a line of a settings file may have it.
        if text.trim_start().starts_with(['"', '\'']) {
            return Err(Error::invalid(format!("the {what} is in quotes: leave them out")));
        }
        let secret = Secret::parse(what, text)?;
        check(&secret.0)?;
        Ok(secret)
    }

    /// Checks what every credential has in common: it must fit into an HTTP header unchanged.
    fn parse(what: &str, text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::invalid(format!("the {what} is empty")));
        }
        if text.len() > MAX_LEN {
            return Err(Error::invalid(format!("the {what} is longer than {MAX_LEN} characters")));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "the {what} contains a space, a line break or a character outside ASCII: copy it again"
            )));
        }
        Ok(Secret(text.to_owned()))
    }
}

/// The parts that the types share. The check is the type's own.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Secret);

        impl $name {
            /// The secret itself, for storing it. The only way to see it: it is in no `Debug`, error or log.
            pub fn expose(&self) -> &str {
                &self.0.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// White space around the token is ignored.
            ///
            /// # Errors
            /// [`Invalid`](crate::ErrorKind::Invalid) says what is wrong, without repeating the text.
            #[inline]
            fn from_str(text: &str) -> Result<Self> {
                Secret::typed($what, text, $check).map($name)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            #[inline]
            fn try_from(text: &str) -> Result<Self> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            /// The given string is wiped.
            #[inline]
            fn try_from(mut text: String) -> Result<Self> {
                let token = text.parse();
                text.zeroize();
                token
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                read_text(deserializer, $what, |text| {
                    // Whatever the server calls a token is one: the strict check is for what people type.
                    Secret::parse($what, text).map($name).map_err(|_| concat!("this is no ", $what))
                })
            }
        }
    };
}

token! {
    /// A personal access token (PAT): `cru_` and 48 hexadecimal digits. Stands for a user; opens a
    /// [`Client`](crate::Client).
    ///
    /// Made on the website (Profile → API Tokens) or with `client.tokens().create(..)`.
    /// `Debug` shows the first eight characters, as the platform's own lists do.
    ///
    /// It does not open an [`Agent`](crate::Agent):
    ///
    /// ```compile_fail,E0308
    /// # fn demo(pat: crustocean::PersonalAccessToken) -> crustocean::Result<()> {
    /// crustocean::Agent::connect(pat)?;
    /// # Ok(()) }
    /// ```
    PersonalAccessToken, "personal access token", |text| {
        if text.starts_with(CLAIM_PREFIX) {
            return Err(Error::invalid(
                "this is a claim code, not a personal access token: make one under Profile → API Tokens",
            ));
        }
        let Some(digits) = text.strip_prefix(PAT_PREFIX) else {
            return Err(Error::invalid(
                "a personal access token begins with \"cru_\"; for a session token use SessionToken, \
                 for an agent's token AgentToken",
            ));
        };
        if digits.len() != PAT_HEX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::invalid(format!(
                "a personal access token is \"cru_\" and {PAT_HEX_DIGITS} hexadecimal digits, this one has {} \
                 characters after \"cru_\"{}: copy it whole",
                digits.len(),
                if digits.len() == PAT_HEX_DIGITS { ", not all hexadecimal" } else { "" },
            )));
        }
        Ok(())
    }
}

token! {
    /// A session token, from [`Client::login`](crate::Client::login) or
    /// [`Client::register`](crate::Client::register). Stands for a user for 7 days; opens a
    /// [`Client`](crate::Client). Opaque: its form is the server's business.
    SessionToken, "session token", |text| {
        refuse_user_token(text, "session token")
    }
}

token! {
    /// An agent's token, shown once when the agent is created. Opens an [`Agent`](crate::Agent), never a
    /// [`Client`](crate::Client):
    ///
    /// ```compile_fail,E0277
    /// # fn demo(token: crustocean::AgentToken) -> crustocean::Result<()> {
    /// crustocean::Client::new(token)?;
    /// # Ok(()) }
    /// ```
    AgentToken, "agent token", |text| {
        refuse_user_token(text, "agent token")
    }
}

token! {
    /// The key of a hook, for the hook runtime API (`X-Crustocean-Hook-Key`). Opens neither a
    /// [`Client`](crate::Client) nor an [`Agent`](crate::Agent).
    HookKey, "hook key", |text| {
        refuse_user_token(text, "hook key")
    }
}

token! {
    /// The code that lets a person claim an agent that registered itself: `cru_claim_…`. Whoever has it can start a
    /// claim, once. Not a personal access token, for all that it begins alike.
    ///
    /// docs.crustocean.chat, page "Claiming agents".
    ClaimCode, "claim code", |text| match text.strip_prefix(CLAIM_PREFIX) {
        Some(code) if !code.is_empty() => Ok(()),
        _ => Err(Error::invalid("a claim code begins with \"cru_claim_\"")),
    }
}

token! {
    /// The link under which a person claims an agent. It contains the [`ClaimCode`], so it is as secret.
    ClaimUrl, "claim link", |_| Ok(())
}

token! {
    /// The key of a server's metrics (`X-Metrics-Key`), from whoever runs the server.
    MetricsKey, "metrics key", |text| refuse_user_token(text, "metrics key")
}

/// What the deliveries of a webhook subscription are signed with: any text.
#[derive(Clone)]
pub struct WebhookSecret(Secret);

impl WebhookSecret {
    /// The secret itself. The only way to see it: it is in no `Debug`, error or log.
    pub fn expose(&self) -> &str {
        &self.0.0
    }
}

impl From<&str> for WebhookSecret {
    fn from(text: &str) -> Self {
        WebhookSecret(Secret(text.to_owned()))
    }
}

impl From<String> for WebhookSecret {
    fn from(text: String) -> Self {
        WebhookSecret(Secret(text))
    }
}

impl<'de> Deserialize<'de> for WebhookSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        read_text(deserializer, "a webhook secret", |text| Ok(text.into()))
    }
}

/// `cru_…` is a PAT or a claim code and nothing else: the one mix-up that can be told from the text.
fn refuse_user_token(text: &str, wanted: &str) -> Result<()> {
    if text.starts_with(CLAIM_PREFIX) {
        return Err(Error::invalid(format!("this is a claim code (\"cru_claim_…\"), no {wanted}")));
    }
    if text.starts_with(PAT_PREFIX) {
        return Err(Error::invalid(format!(
            "this is a personal access token (\"cru_…\"), which opens a Client, no {wanted}"
        )));
    }
    Ok(())
}

impl PersonalAccessToken {
    /// Reads the environment variable `CRUSTOCEAN_TOKEN`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) when it is not set, [`Invalid`](crate::ErrorKind::Invalid) when it
    /// holds something else.
    #[inline]
    pub fn from_env() -> Result<Self> {
        let missing = "set the environment variable CRUSTOCEAN_TOKEN to a personal access token (cru_…)";
        from_env(&["CRUSTOCEAN_TOKEN"], missing, |text| {
            text.parse().map(|PersonalAccessToken(secret)| secret)
        })
        .map(PersonalAccessToken)
    }
}

impl AgentToken {
    /// Reads the environment variable `AGENT_TOKEN`, else `CRUSTOCEAN_AGENT_TOKEN`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) when neither is set, [`Invalid`](crate::ErrorKind::Invalid) when it
    /// holds something else.
    pub fn from_env() -> Result<Self> {
        let missing =
            "set the environment variable AGENT_TOKEN or CRUSTOCEAN_AGENT_TOKEN to an agent's token";
        from_env(&["AGENT_TOKEN", "CRUSTOCEAN_AGENT_TOKEN"], missing, |text| {
            text.parse().map(|AgentToken(secret)| secret)
        })
        .map(AgentToken)
    }
}

fn from_env(names: &[&str], missing: &'static str, parse: fn(&str) -> Result<Secret>) -> Result<Secret> {
    for name in names {
        match std::env::var(name) {
            // An empty variable is how shells and .env files spell "not set".
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                return parse(&Zeroizing::new(text)).map_err(|error| {
                    let text = format!("{name}: {error}");
                    error.reworded(crate::ErrorKind::Invalid, text)
                });
            }
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(Error::invalid(format!("{name} is not valid Unicode")));
            }
        }
    }
    Err(Error::config(missing))
}

impl fmt::Debug for PersonalAccessToken {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token taken from an answer of the server need not have the usual length: show a part only if
        // most of it stays hidden.
        let text = self.expose();
        match text.get(..SHOWN_PREFIX) {
            Some(shown) if text.len() >= 4 * SHOWN_PREFIX => write!(f, "PersonalAccessToken({shown}…)"),
            _ => f.write_str("PersonalAccessToken(…)"),
        }
    }
}

macro_rules! hidden_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

hidden_debug!(SessionToken, AgentToken, HookKey, ClaimCode, ClaimUrl, MetricsKey, WebhookSecret);

/// A token that stands for a user: what [`Client::new`](crate::Client::new) takes. Made from a
/// [`PersonalAccessToken`] or a [`SessionToken`] with `into()`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum UserToken {
    /// A personal access token.
    Personal(PersonalAccessToken),
    /// A session token.
    Session(SessionToken),
}

impl UserToken {
    pub(crate) fn expose(&self) -> &str {
        match self {
            UserToken::Personal(token) => token.expose(),
            UserToken::Session(token) => token.expose(),
        }
    }
}

impl From<PersonalAccessToken> for UserToken {
    fn from(token: PersonalAccessToken) -> Self {
        UserToken::Personal(token)
    }
}

impl From<SessionToken> for UserToken {
    fn from(token: SessionToken) -> Self {
        UserToken::Session(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAT: &str = "cru_4f8a00112233445566778899aabbccddeeff001122334455";

    #[test]
    fn a_pat_is_checked_whole() {
        assert!(PAT.parse::<PersonalAccessToken>().is_ok());
        assert!(format!("  {PAT}\n").parse::<PersonalAccessToken>().is_ok());
        for bad in ["", "cru_", "cru_4f8a", "sk_1234", &format!("{PAT}0"), &PAT.replace('a', "z")] {
            let error = bad.parse::<PersonalAccessToken>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{bad}");
        }
        let claim = "cru_claim_00112233445566778899aabbccddeeff0011223344".parse::<PersonalAccessToken>();
        assert!(claim.unwrap_err().to_string().contains("claim code"));
    }

    #[test]
    fn the_wrong_kind_is_named() {
        let error = PAT.parse::<AgentToken>().unwrap_err().to_string();
        assert!(error.contains("personal access token"), "{error}");
        assert!(PAT.parse::<SessionToken>().is_err());
        assert!("two words".parse::<AgentToken>().is_err());
        assert!("sk_\u{1F980}".parse::<HookKey>().is_err());
        assert!(PAT.parse::<ClaimCode>().is_err() && "cru_claim_".parse::<ClaimCode>().is_err());
        assert!("cru_claim_1".parse::<ClaimCode>().is_ok());
    }

    #[test]
    fn quotes_are_not_part_of_it_unless_a_server_says_so() {
        for text in ["\"sk_1\"", " 'sk_1'"] {
            let error = text.parse::<AgentToken>().unwrap_err().to_string();
            assert!(error.contains("quotes") && !error.contains("sk_1"), "{error}");
        }
        let token: AgentToken = serde_json::from_str("\"'sk_1\"").unwrap();
        assert_eq!(token.expose(), "'sk_1");
    }

    #[test]
    fn nothing_prints_the_secret() {
        let secret = "sk_do_not_print_me";
        let agent: AgentToken = secret.parse().unwrap();
        let session: SessionToken = secret.parse().unwrap();
        let hook: HookKey = secret.parse().unwrap();
        let pat: PersonalAccessToken = PAT.parse().unwrap();
        let printed =
            format!("{agent:?} {session:?} {hook:?} {pat:?} {:?}", UserToken::from(session.clone()));
        assert!(!printed.contains("do_not_print"), "{printed}");
        assert_eq!(format!("{pat:?}"), "PersonalAccessToken(cru_4f8a…)");
        assert_eq!(format!("{agent:?}"), "AgentToken(…)");
        for bad in ["cru_secretsecret", "secret secret"] {
            let error = bad.parse::<PersonalAccessToken>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }
}
