//! Personal access tokens, as the API lists them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::{List, Timestamp, TokenId};
use crate::error::{Error, Result};
use crate::token::PersonalAccessToken;

/// How long a personal access token is valid.
///
/// ```no_run
/// use crustocean::model::Expiry;
///
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let expiry: Expiry = "90d".parse()?; // from a command line; or Expiry::Days90
/// let created = client.tokens().create("ci").expires(expiry).send()?;
/// println!("CRUSTOCEAN_TOKEN={}", created.token.expose()); // shown this once: store it
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expiry {
    /// 30 days.
    Days30,
    /// 90 days.
    Days90,
    /// One year.
    OneYear,
    /// Valid until the token is revoked.
    Never,
}

impl Expiry {
    /// The value as the API writes it: `30d`, `90d`, `1y`, `never`.
    pub fn as_str(self) -> &'static str {
        match self {
            Expiry::Days30 => "30d",
            Expiry::Days90 => "90d",
            Expiry::OneYear => "1y",
            Expiry::Never => "never",
        }
    }
}

impl FromStr for Expiry {
    type Err = Error;

    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for any other text. The error lists the possible values.
    fn from_str(text: &str) -> Result<Self> {
        let all = [Expiry::Days30, Expiry::Days90, Expiry::OneYear, Expiry::Never];
        let found = all.into_iter().find(|expiry| expiry.as_str() == text);
        found.ok_or_else(|| Error::invalid("a token expires after \"30d\", \"90d\" or \"1y\", or \"never\""))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Serialises as [`as_str`](Expiry::as_str).
impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Information about a personal access token, without the token itself.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct PersonalAccessTokenInfo {
    /// The id, for revoking the token.
    pub id: TokenId,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The first characters of the token (`cru_4f8a`), so that you can recognise the token.
    #[serde(rename(deserialize = "prefix|token_prefix"), skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The permissions: `all`, for now.
    #[serde(default)]
    pub scopes: List<String>,
    /// The time of creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The time of expiry. `None` if the token does not expire.
    #[serde(rename(deserialize = "expires_at|expires"), skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The time of the last use. The server updates it at most every 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

lenient!(PersonalAccessTokenInfo);

/// A new personal access token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreatedToken {
    /// The token. The server shows it only once: store it now.
    pub token: PersonalAccessToken,
    /// The token's entry in the list of tokens.
    pub info: PersonalAccessTokenInfo,
}

/// The part of the response that is not in [`PersonalAccessTokenInfo`].
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct RawToken {
    /// The token.
    pub token: PersonalAccessToken,
}

lenient!(read RawToken);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_one_of_four() {
        for text in ["30d", "90d", "1y", "never"] {
            let expiry = text.parse::<Expiry>().unwrap();
            assert_eq!(
                (expiry.to_string().as_str(), serde_json::to_value(expiry).unwrap()),
                (text, text.into())
            );
        }
        for text in ["", "30", "365d", "Never", " 30d"] {
            let error = text.parse::<Expiry>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid);
            assert!(error.to_string().contains("\"30d\", \"90d\" or \"1y\", or \"never\""), "{error}");
        }
    }

    #[test]
    fn an_end_is_read_from_any_of_its_names() {
        for key in ["expires_at", "expiresAt", "expires"] {
            let json = format!(r#"{{"id":"t","name":"ci","{key}":"2026-01-01T00:00:00Z","scopes":"all"}}"#);
            let info: PersonalAccessTokenInfo = serde_json::from_str(&json).unwrap();
            assert_eq!(
                (info.expires_at.unwrap().as_str(), info.scopes[0].as_str()),
                ("2026-01-01T00:00:00Z", "all")
            );
        }
        let info: PersonalAccessTokenInfo = serde_json::from_str(r#"{"id":"t","expires_at":null}"#).unwrap();
        assert_eq!(info.expires_at, None);
    }
}
