//! Personal access tokens, as the API lists them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{List, Timestamp, TokenId};
use crate::error::{Error, Result};
use crate::token::PersonalAccessToken;

/// How long a personal access token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expiry {
    /// 30 days.
    Days30,
    /// 90 days.
    Days90,
    /// One year.
    OneYear,
    /// Until it is revoked.
    Never,
}

impl Expiry {
    /// As the API spells it: `30d`, `90d`, `1y`, `never`.
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
    /// [`Invalid`](crate::ErrorKind::Invalid) names the ones there are.
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

/// What the API tells about a personal access token: everything but the token.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct PersonalAccessTokenInfo {
    /// The id to revoke it by.
    pub id: TokenId,
    /// The name it was given.
    #[serde(default)]
    pub name: String,
    /// Its first characters (`cru_4f8a`), to tell it from others.
    #[serde(rename(deserialize = "prefix|token_prefix"), skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What it may do: `all`, for now.
    #[serde(default)]
    pub scopes: List<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it ends. `None` if it does not.
    #[serde(rename(deserialize = "expires_at|expires"), skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used; the server brings this up to date at most every 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

lenient!(PersonalAccessTokenInfo);

/// A personal access token that was just made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreatedToken {
    /// The token. The server shows it this once: store it now.
    pub token: PersonalAccessToken,
    /// What the list of tokens says about it.
    pub info: PersonalAccessTokenInfo,
}

/// The part of the answer that is not in [`PersonalAccessTokenInfo`].
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
            assert_eq!(text.parse::<Expiry>().unwrap().to_string(), text);
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
