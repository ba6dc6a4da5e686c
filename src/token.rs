//! The platform's credentials. Each credential has its own type, so that the compiler rejects a token of the wrong
//! type.
//!
//! Source for the purpose of each token: docs.crustocean.chat, page "SDK authentication".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};
use crate::json::read_text;

const PAT_PREFIX: &str = "cru_";
pub(crate) const CLAIM_PREFIX: &str = "cru_claim_";
const PAT_HEX_DIGITS: usize = 48;
/// The number of characters that the platform shows in its own lists of tokens.
const SHOWN_PREFIX: usize = 8;
/// The longest credential: far longer than any token. If a program reads the wrong file as a token, this limit keeps
/// the file out of a header.
const MAX_LEN: usize = 4096;

/// A string that `Drop` wipes. No `Debug` or error prints it.
#[derive(Clone)]
struct Secret(String);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// Checks a credential that a person typed or copied.
    fn typed(what: &str, text: &str, check: fn(&str) -> Result<()>) -> Result<Self> {
        refuse_placeholders(what, text)?;
        let secret = Secret::parse(what, text)?;
        check(&secret.0)?;
        Ok(secret)
    }

    /// A secret that may contain white space, such as a passphrase.
    fn phrase(what: &str, text: &str) -> Result<Self> {
        refuse_placeholders(what, text)?;
        Ok(Secret(trimmed(what, text)?.to_owned()))
    }

    /// Checks the rule of all credentials: the text must fit into an HTTP header unchanged.
    fn parse(what: &str, text: &str) -> Result<Self> {
        let text = trimmed(what, text)?;
        if text.len() > MAX_LEN {
            return Err(Error::invalid(format!(
                "the {what} is longer than {MAX_LEN} characters: check that the program reads the right file or \
                 variable"
            )));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "the {what} contains a space, a line break or a character outside ASCII: copy it again"
            )));
        }
        Ok(Secret(text.to_owned()))
    }
}

fn trimmed<'t>(what: &str, text: &'t str) -> Result<&'t str> {
    match text.trim() {
        "" => Err(Error::invalid(format!("the {what} is empty: set it where the program reads it from"))),
        text => Ok(text),
    }
}

/// Rejects texts that are not a real credential: text in quotes from a settings file, words that programs write for
/// "nothing", placeholders from documentation.
fn refuse_placeholders(what: &str, text: &str) -> Result<()> {
    const NOTHING: [&str; 6] = ["null", "undefined", "none", "nil", "nan", "[object object]"];
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let text = text.trim();
    if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
        return Err(Error::invalid(format!("the {what} is in quotes: leave them out")));
    }
    if NOTHING.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Err(Error::invalid(format!(
            "the {what} is a word that programs write for \"nothing\", such as null or undefined: set it where the \
             program reads it from"
        )));
    }
    // Matches placeholders such as `sk_xx`, `cru_…` and `<token>`.
    let body = text.split_once('_').map_or(text, |(_, body)| body);
    let is_filler =
        body.chars().count() > 1 && body.chars().all(|c| matches!(c, 'x' | 'X' | '.' | '*' | '…'));
    if is_filler || (text.starts_with('<') && text.ends_with('>')) {
        return Err(Error::invalid(format!(
            "the {what} is the placeholder of an example: replace it with the real one"
        )));
    }
    Ok(())
}

/// Defines a token type with the code that all token types share. `$check` is the check of the type, for texts that
/// people type. The server may send a token in any form.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        token! {
            $(#[$doc])* $name, $what,
            typed: |text| Secret::typed($what, text, $check),
            sent: |text| Secret::parse($what, text)
        }
    };
    ($(#[$doc:meta])* $name:ident, $what:literal, typed: $typed:expr, sent: $sent:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Secret);

        impl $name {
            /// Returns the secret as text, for storage. No `Debug` output, error or log contains the secret.
            pub fn expose(&self) -> &str {
                &self.0.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Trims white space around the text, such as the line break at the end of a file.
            ///
            /// # Errors
            /// [`Invalid`](crate::ErrorKind::Invalid) if the text is not a credential of this type. The error does
            /// not contain the text.
            fn from_str(text: &str) -> Result<Self> {
                let secret: fn(&str) -> Result<Secret> = $typed;
                secret(text).map($name)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            fn try_from(text: &str) -> Result<Self> {
                text.parse()
            }
        }

        impl TryFrom<&String> for $name {
            type Error = Error;

            fn try_from(text: &String) -> Result<Self> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            /// Wipes the given string.
            fn try_from(mut text: String) -> Result<Self> {
                let token = text.parse();
                text.zeroize();
                token
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                read_text(deserializer, $what, |text| {
                    let secret: fn(&str) -> Result<Secret> = $sent;
                    secret(text).map($name).map_err(|_| concat!("this is no ", $what))
                })
            }
        }
    };
}

token! {
    /// A personal access token (PAT): `cru_` and 48 hexadecimal digits. A [`Client`](crate::Client) with this token
    /// acts as a user.
    ///
    /// Create a token on the website (Profile → API Tokens) or with `client.tokens().create(..)`. `Debug` shows the
    /// first eight characters, as the platform's own lists do.
    ///
    /// An [`Agent`](crate::Agent) does not accept a personal access token:
    ///
    /// ```compile_fail,E0308
    /// # fn demo(pat: crustocean::PersonalAccessToken) -> crustocean::Result<()> {
    /// crustocean::Agent::connect(pat)?;
    /// # Ok(()) }
    /// ```
    PersonalAccessToken, "personal access token", |text| {
        if text.starts_with(CLAIM_PREFIX) {
            return Err(Error::invalid(
                "this is a claim code (\"cru_claim_…\"), not a personal access token: create a token on the website, \
                 under Profile → API Tokens",
            ));
        }
        let Some(digits) = text.strip_prefix(PAT_PREFIX) else {
            return Err(Error::invalid(
                "this is not a personal access token, which begins with \"cru_\": create one on the website, under \
                 Profile → API Tokens. A Client also accepts a SessionToken. An agent's token opens only an Agent: \
                 use AgentToken",
            ));
        };
        if digits.len() != PAT_HEX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::invalid(format!(
                "a personal access token is \"cru_\" and {PAT_HEX_DIGITS} hexadecimal digits, but this one has {} \
                 characters after \"cru_\"{}: copy the whole token again",
                digits.len(),
                if digits.len() == PAT_HEX_DIGITS { ", not all hexadecimal" } else { "" },
            )));
        }
        Ok(())
    }
}

token! {
    /// A session token, from [`Client::login`](crate::Client::login) or
    /// [`Client::register`](crate::Client::register). A [`Client`](crate::Client) with this token acts as a user. The
    /// token is valid for 7 days. The platform does not document the form of the token.
    SessionToken, "session token", |text| {
        refuse_user_token(text, "a session token", "Client::login(..) returns a session token")
    }
}

token! {
    /// An agent's token. The server shows the token once, when the agent is created. An [`Agent`](crate::Agent)
    /// accepts this token, but a [`Client`](crate::Client) does not:
    ///
    /// ```compile_fail,E0277
    /// # fn demo(token: crustocean::AgentToken) -> crustocean::Result<()> {
    /// crustocean::Client::new(token)?;
    /// # Ok(()) }
    /// ```
    AgentToken, "agent token", |text| {
        refuse_user_token(text, "an agent token", NEEDS_AGENT_TOKEN)
    }
}

token! {
    /// The key of a hook, for the hook runtime API (`X-Crustocean-Hook-Key`). Neither a [`Client`](crate::Client) nor
    /// an [`Agent`](crate::Agent) accepts this key.
    HookKey, "hook key", |text| {
        refuse_user_token(text, "a hook key", "a HookClient needs the key of its hook")
    }
}

token! {
    /// A person uses this code (`cru_claim_…`) to claim an agent that registered itself. Anybody who has the code can
    /// start a claim, once. A claim code is not a personal access token, although both start with `cru_`.
    ///
    /// Source: docs.crustocean.chat, page "Claiming agents".
    ClaimCode, "claim code", |text| match text.strip_prefix(CLAIM_PREFIX) {
        Some(code) if !code.is_empty() => Ok(()),
        _ => Err(Error::invalid(
            "this is not a claim code, which begins with \"cru_claim_\": copy the whole code from the claim link",
        )),
    }
}

token! {
    /// A person opens this link to claim an agent. The link contains the [`ClaimCode`], so the link is also a secret.
    ClaimUrl, "claim link", |_| Ok(())
}

token! {
    /// The key for a server's metrics (`X-Metrics-Key`). The server's operator has this key.
    MetricsKey, "metrics key", |text| {
        refuse_user_token(text, "a metrics key", "ask the server's operator for the metrics key")
    }
}

token! {
    /// The secret that signs the deliveries of a webhook subscription. Any text can be a secret.
    ///
    /// `"…".parse()?` and `try_into()` trim white space around the text, as for all credentials.
    /// [`verbatim`](WebhookSecret::verbatim) keeps the white space.
    WebhookSecret, "webhook secret",
    typed: |text| Secret::phrase("webhook secret", text),
    // Accepts an empty secret, too, because `verify` rejects it.
    sent: |text| Ok(Secret(text.to_owned()))
}

impl WebhookSecret {
    /// Keeps white space around the text. Use `verbatim` if white space is part of the secret. Do not use `verbatim`
    /// for the content of a file: a file usually ends in a line break.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text is empty or only white space: anybody could sign with such
    /// a secret.
    pub fn verbatim(text: impl Into<String>) -> Result<Self> {
        let secret = Secret(text.into());
        trimmed("webhook secret", &secret.0)?;
        Ok(WebhookSecret(secret))
    }
}

const NEEDS_AGENT_TOKEN: &str = "an Agent needs the token that client.agents().create(..) returned";

/// Rejects a PAT or a claim code where another credential is expected. Only these two have a known prefix (`cru_`).
/// `needed` says where the expected credential comes from.
fn refuse_user_token(text: &str, wanted: &str, needed: &str) -> Result<()> {
    if text.starts_with(CLAIM_PREFIX) {
        return Err(Error::invalid(format!(
            "this is a claim code (\"cru_claim_…\"), not {wanted}: {needed}"
        )));
    }
    if text.starts_with(PAT_PREFIX) {
        return Err(Error::invalid(format!(
            "this is a personal access token (\"cru_…\"), not {wanted}: use it with a Client; {needed}"
        )));
    }
    Ok(())
}

impl PersonalAccessToken {
    /// Reads the token from the environment variable `CRUSTOCEAN_TOKEN`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the variable is not set; [`Invalid`](crate::ErrorKind::Invalid) if the
    /// value is not a PAT.
    pub fn from_env() -> Result<Self> {
        let missing = "set the environment variable CRUSTOCEAN_TOKEN to a personal access token (cru_…)";
        from_env(&["CRUSTOCEAN_TOKEN"], missing, |text| {
            text.parse().map(|PersonalAccessToken(secret)| secret)
        })
        .map(PersonalAccessToken)
    }
}

impl AgentToken {
    /// Reads the token from the environment variable `AGENT_TOKEN`. If that is not set, reads
    /// `CRUSTOCEAN_AGENT_TOKEN`.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if neither variable is set; [`Invalid`](crate::ErrorKind::Invalid) if the
    /// value is not an agent token.
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
            // An empty variable counts as not set: shells and .env files write "not set" in this way.
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                return parse(&Zeroizing::new(text)).map_err(|error| {
                    let text = format!("{name}: {error}");
                    error.reworded(crate::ErrorKind::Invalid, text)
                });
            }
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(Error::invalid(format!("{name} is not valid Unicode: set it again")));
            }
        }
    }
    Err(Error::config(missing))
}

impl fmt::Debug for PersonalAccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token from the server may be short: show the prefix only if most of the token stays hidden.
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
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

hidden_debug!(SessionToken, AgentToken, HookKey, ClaimCode, ClaimUrl, MetricsKey, WebhookSecret);

/// A token that acts as a user. [`Client::new`](crate::Client::new) accepts any type that converts to `UserToken`.
/// `into()` converts a [`PersonalAccessToken`] or a [`SessionToken`].
///
/// ```no_run
/// use crustocean::rest::UserToken;
/// use crustocean::{Client, PersonalAccessToken, SessionToken};
///
/// /// Reads a setting that may contain either kind of token. A personal access token begins with `cru_`.
/// fn token(text: &str) -> crustocean::Result<UserToken> {
///     if text.starts_with("cru_") {
///         return Ok(text.parse::<PersonalAccessToken>()?.into());
///     }
///     Ok(text.parse::<SessionToken>()?.into())
/// }
///
/// # fn main() -> crustocean::Result<()> {
/// let client = Client::new(token("a-session-token")?)?;
/// println!("{}", client.account().me()?.username);
/// # Ok(()) }
/// ```
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
        assert!(error.contains("personal access token") && error.contains("use it with a Client"), "{error}");
        assert!(error.ends_with(NEEDS_AGENT_TOKEN), "{error}");
        let error = "sk_1234".parse::<PersonalAccessToken>().unwrap_err().to_string();
        assert!(error.contains("An agent's token opens only an Agent: use AgentToken"), "{error}");
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

    /// Parses the text as every type.
    fn parsed(text: &str) -> [Result<String>; 7] {
        [
            text.parse::<SessionToken>().map(|it| it.expose().to_owned()),
            text.parse::<AgentToken>().map(|it| it.expose().to_owned()),
            text.parse::<HookKey>().map(|it| it.expose().to_owned()),
            text.parse::<MetricsKey>().map(|it| it.expose().to_owned()),
            text.parse::<ClaimUrl>().map(|it| it.expose().to_owned()),
            text.parse::<WebhookSecret>().map(|it| it.expose().to_owned()),
            // A PAT has a fixed form. None of the test texts has this form.
            text.parse::<PersonalAccessToken>().map(|it| it.expose().to_owned()),
        ]
    }

    #[test]
    fn what_is_no_secret_is_refused_by_all_alike() {
        for text in [
            "",
            " ",
            "\n",
            "\t \r\n",
            "\u{3000}",
            "null",
            "undefined",
            " NULL\n",
            "None",
            "nil",
            "\"sk_xx\"",
            "'sk_1'",
            "sk_1\"",
            "`sk_1`",
            "sk_xx",
            "sk_XXXX",
            "sk_...",
            "xxx",
            "***",
            "<your token>",
        ] {
            for secret in parsed(text) {
                let error = secret.expect_err(text);
                assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{text:?}");
                assert!(!text.contains("sk_") || !error.to_string().contains("sk_"), "{error}");
            }
        }
        assert!("null".parse::<ClaimCode>().is_err());
        assert!(WebhookSecret::verbatim(" \n").is_err());
    }

    #[test]
    fn white_space_around_a_secret_is_left_out_by_all_alike() {
        for secret in parsed(" sk_1234\r\n").into_iter().take(6) {
            assert_eq!(secret.unwrap(), "sk_1234");
        }
        assert_eq!("only we know\n".parse::<WebhookSecret>().unwrap().expose(), "only we know");
        assert_eq!(WebhookSecret::verbatim("mine\n").unwrap().expose(), "mine\n");
        assert_eq!(WebhookSecret::try_from(" mine ".to_owned()).unwrap().expose(), "mine");
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
