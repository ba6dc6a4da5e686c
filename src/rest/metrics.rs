//! `/metrics`.

use super::Client;
use crate::error::{Error, Result};
use crate::net::http::{HttpRequest, Method};
use crate::token::MetricsKey;

impl Client {
    /// Returns the server's metrics as Prometheus text. Most servers require a key. The call does not send the client's
    /// own token.
    ///
    /// Source: docs.crustocean.chat, page "Metrics".
    ///
    /// ```no_run
    /// # fn main() -> crustocean::Result<()> {
    /// println!("{}", crustocean::Client::anonymous()?.metrics(None)?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) or [`Forbidden`](crate::ErrorKind::Forbidden) if the key is
    /// missing or wrong; otherwise the kinds of [every call](crate::rest#errors).
    pub fn metrics(&self, key: Option<&MetricsKey>) -> Result<String> {
        let credential = key.map(|key| ("X-Metrics-Key", key.expose()));
        let request =
            HttpRequest { method: Method::Get, path: "/metrics", query: &[], credential, body: None };
        let response = self.0.http.send(request)?;
        String::from_utf8(response.body)
            .map_err(|error| Error::protocol("the metrics are not UTF-8").with_source(error.utf8_error()))
    }
}
