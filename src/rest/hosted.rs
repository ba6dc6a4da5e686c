//! Fetches the configuration of a hosted agent from the URL in `CRUSTOCEAN_CONFIG_URL`.

use std::borrow::Cow;
use std::env::{self, VarError};

use percent_encoding::percent_decode_str;

use super::{Client, ClientBuilder};
use crate::error::{Error, Result};
use crate::model::{HostedConfig, answer};
use crate::net::http::{HttpRequest, Method};
use crate::token::AgentToken;

const VARIABLE: &str = "CRUSTOCEAN_CONFIG_URL";

impl HostedConfig {
    /// Fetches the configuration of an agent that Crustocean hosts, from the URL in the environment variable
    /// `CRUSTOCEAN_CONFIG_URL`. Crustocean sets this variable.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the variable is not set; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn from_env(token: &AgentToken) -> Result<Self> {
        match env::var(VARIABLE) {
            Ok(url) if !url.trim().is_empty() => Client::builder().hosted_config(&url, token),
            Err(VarError::NotUnicode(_)) => Err(Error::config(format!("{VARIABLE} is not valid Unicode"))),
            _ => Err(Error::config(format!(
                "the environment variable {VARIABLE} is not set: only agents that Crustocean hosts have it"
            ))),
        }
    }
}

impl ClientBuilder {
    /// Fetches the configuration of an agent that Crustocean hosts. The crate sends the agent's token to this URL, so
    /// use only a URL of the platform. The builder's API URL has no effect. See [`HostedConfig::from_env`].
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the URL is not usable; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn hosted_config(mut self, url: &str, token: &AgentToken) -> Result<HostedConfig> {
        let (origin, path, query) = parts(url.trim())?;
        self.config.api_url = Some(origin.to_owned());
        let http = self.config.http()?;
        let query: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
        let query: Vec<(&str, Cow<'_, str>)> =
            query.iter().map(|(name, value)| (&**name, Cow::from(&**value))).collect();
        Client::internal(http, super::Credentials::Anonymous).hosted(path, &query, token)
    }
}

impl Client {
    fn hosted(&self, path: &str, query: &[(&str, Cow<'_, str>)], token: &AgentToken) -> Result<HostedConfig> {
        let request = HttpRequest { method: Method::Get, path, query, credential: None, body: None };
        let reply = self.send_with(&request, Some(token.expose()))?;
        let unreadable =
            |why: &str| Error::protocol(format!("the configuration of the agent cannot be read: {why}"));
        let json = std::str::from_utf8(&reply.body).map_err(|_| unreadable("it is not UTF-8"))?;
        // The error contains no part of the response.
        answer::read(json).map_err(|error| unreadable(&error.to_string()))
    }
}

/// Splits a URL into origin, path and query.
fn parts(url: &str) -> Result<(&str, &str, &str)> {
    let url = url.split('#').next().unwrap_or_default();
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let begin = address.find("://").map(|at| at + "://".len());
    let begin = begin.ok_or_else(|| Error::config("the URL of the agent's configuration has no scheme"))?;
    let end = address.get(begin..).and_then(|rest| rest.find('/')).map_or(address.len(), |at| begin + at);
    let (origin, path) = address.split_at(end);
    Ok((origin, if path.is_empty() { "/" } else { path }, query))
}

fn pair(text: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (percent_decode_str(name).decode_utf8_lossy(), percent_decode_str(value).decode_utf8_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, expected) in [
            ("https://h", ("https://h", "/", "")),
            ("https://h/", ("https://h", "/", "")),
            ("https://h:8/a/b?c=d/e&f#g", ("https://h:8", "/a/b", "c=d/e&f")),
            ("http://[::1]:8?c=/", ("http://[::1]:8", "/", "c=/")),
        ] {
            assert_eq!(parts(url).unwrap(), expected);
        }
        assert!(parts("api.crustocean.chat/x").is_err() && parts("").is_err());
    }
}
