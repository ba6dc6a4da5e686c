//! An HTTP client that pays within limits.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::request::Parts;
use ureq::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use ureq::{Body, ResponseExt as _, SendBody};

use crate::eip712::Authorization;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{self, Arrival, short};
use crate::signer::{SignRequest, sign};
use crate::usdc::Usdc;
use crate::wallet::Wallet;
use crate::x402::body;
use crate::x402::failure::X402Error;
use crate::x402::ledger::{Ledger, now};
use crate::x402::offer::{Offer, decode};
use crate::x402::origin::Origin;
use crate::x402::receipt::Receipt;

const REQUEST: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: u32 = 10;

/// Marks a request with a payment, which the middleware passes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paying;

/// An HTTP client that pays 402 responses in USDC, within two limits. Both limits are required, because a server may
/// demand any price.
///
/// The client supports versions 1 and 2 of x402, scheme `exact` with EIP-3009: the wallet signs, and the server sends
/// the transaction, so the wallet needs no ether. The client pays for a request at most once, and only over https (or
/// to this machine).
///
/// ```no_run
/// use crustocean_wallet::{Chain, Key, Wallet, X402};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let wallet = Wallet::connect(Chain::Base, Key::from_env()?)?;
/// let x402 = X402::new(&wallet)
///     .at_most("0.01".parse()?)
///     .per_day("1".parse()?)
///     .ledger("spent.json")?; // the daily sum survives a restart
///
/// let mut answer = x402.get("https://api.example.com/weather")?;
/// println!("{}", answer.response.body_mut().read_to_string()?);
/// if let Some(receipt) = answer.receipt {
///     println!("paid {} USDC", receipt.amount);
/// }
/// # Ok(()) }
/// ```
///
/// `X402` is also a middleware for a ureq agent: [`ureq::config::ConfigBuilder::middleware`].
#[derive(Clone)]
pub struct X402 {
    pub(crate) wallet: Wallet,
    at_most: Usdc,
    per_day: Usdc,
    ledger: Arc<Ledger>,
    pub(crate) agent: ureq::Agent,
}

/// A server's response.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The response with any status. The client has not read its body.
    pub response: Response<Body>,
    /// The payment. `None` if the response was free.
    pub receipt: Option<Receipt>,
}

impl X402 {
    pub(crate) fn with_limits(wallet: Wallet, at_most: Usdc, per_day: Usdc) -> Self {
        let ledger = Arc::new(Ledger::in_memory(per_day));
        X402 { wallet, at_most, per_day, ledger, agent: http::settings(REQUEST, None).build().new_agent() }
    }

    /// Stores the daily sum in a file, so that it survives a restart. Programs that share the file share the limit.
    /// Creates two more files with the endings `.lock` and `.new` beside it. Defaults to memory only.
    ///
    /// # Errors
    /// [`Ledger`](ErrorKind::Ledger) if the file exists and cannot be read or locked. An unreadable file never counts
    /// as empty.
    pub fn ledger(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.ledger = Arc::new(Ledger::in_file(self.per_day, path.as_ref())?);
        Ok(self)
    }

    /// Sets the ureq agent that sends requests, with its proxy, TLS and time limits. Its settings for redirects and
    /// error statuses have no effect. Defaults to an agent with a limit of 60 s per request.
    pub fn agent(mut self, agent: ureq::Agent) -> Self {
        self.agent = agent;
        self
    }

    /// The amount spent in the last 24 hours.
    ///
    /// # Errors
    /// [`Ledger`](ErrorKind::Ledger) if the file cannot be read.
    pub fn spent(&self) -> Result<Usdc> {
        self.ledger.sum()
    }

    /// Sends a GET, and pays if the server demands it.
    ///
    /// # Errors
    /// Each error says what happened to the money: see [`X402Error`]. A response with a status other than 402 is not
    /// an error.
    pub fn get(&self, url: &str) -> Result<Answer, X402Error> {
        self.run(Request::get(url).body(Vec::new()).map_err(unusable)?)
    }

    /// Sends a POST, and pays if the server demands it.
    ///
    /// # Errors
    /// The kinds of [`get`](X402::get).
    pub fn post(&self, url: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Result<Answer, X402Error> {
        let request = Request::post(url).header("content-type", content_type);
        self.run(request.body(body.into()).map_err(unusable)?)
    }

    /// Sends any request, and pays if the server demands it.
    ///
    /// # Errors
    /// The kinds of [`get`](X402::get).
    pub fn run(&self, request: Request<Vec<u8>>) -> Result<Answer, X402Error> {
        let (parts, body) = request.into_parts();
        self.exchange(parts, &body, |request| {
            let request = self.agent.configure_request(request);
            let request = request.http_status_as_error(false).max_redirects(MAX_REDIRECTS);
            self.agent.run(request.max_redirects_will_error(false).build())
        })
        .map_err(|failure| match failure {
            Failure::First(error) => X402Error::NotPaid(http::failure("the server", error).1),
            Failure::Payment(error) => error,
        })
    }

    /// Whether a payment was collected or cancelled. Asks the chain, not the server.
    ///
    /// # Errors
    /// The kinds of [`Wallet::balances`](crate::Wallet::balances).
    pub fn is_collected(&self, receipt: &Receipt) -> Result<bool> {
        self.wallet.is_used(receipt.nonce)
    }

    /// Sends the request once without a payment, with `first`, and once more with a payment if the server demands it.
    pub(crate) fn exchange(
        &self,
        parts: Parts,
        body: &[u8],
        first: impl FnOnce(Request<SendBody<'_>>) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer, Failure> {
        let asked = Asked { method: parts.method.clone(), uri: parts.uri.clone() };
        let paid_parts = parts.clone();
        let mut response = body::send(parts, body, first).map_err(Failure::First)?;
        if response.status() != StatusCode::PAYMENT_REQUIRED {
            return Ok(Answer { response, receipt: None });
        }
        let (uri, origin) = asked.payable(response.get_uri())?;
        let demand = body::read_demand(response.body_mut());
        let header = response.headers().get("payment-required").map(HeaderValue::as_bytes);
        let offer = Offer::choose(self.wallet.chain(), header, &demand)?;
        // Release the connection before the client opens the next one.
        drop(response);
        Ok(self.pay(paid_parts, uri, &origin, body, &offer)?)
    }

    fn pay(
        &self,
        mut parts: Parts,
        uri: Uri,
        origin: &Origin,
        body: &[u8],
        offer: &Offer,
    ) -> Result<Answer, X402Error> {
        if offer.price > self.at_most {
            let text = format!(
                "{origin} asks for {} USDC, the limit for one request is {} USDC",
                offer.price, self.at_most
            );
            return Err(Error::new(ErrorKind::Limit, text).into());
        }
        self.ledger.reserve(offer.price)?;
        // Release the reserved amount after an error, also if the signer panics.
        let mut reserved = Reserved(Some((&self.ledger, offer.price)));
        let prepared = self.authorize(offer).and_then(|authorization| {
            let signature = sign(self.wallet.signer(), &SignRequest::Authorization(&authorization))?;
            let mut header = HeaderValue::from_str(&offer.payment(&authorization, &signature)?)
                .map_err(|_| Error::protocol("the payment is not a valid header value"))?;
            header.set_sensitive(true);
            Ok((Receipt::new(origin.to_string(), &authorization), header))
        });
        let (mut receipt, header) = prepared?;
        reserved.0 = None;

        parts.uri = uri;
        parts.headers.insert(HeaderName::from_static(offer.version.header()), header);
        parts.extensions.insert(Paying);
        crate::logging::record!(Debug, "paying {origin} {} USDC", offer.price);
        let answer = body::send(parts, body, |request| {
            let request = self.agent.configure_request(request);
            // Return a redirect as the response, so that the payment goes only to the origin that asked for it.
            let request = request.http_status_as_error(false).max_redirects(0);
            self.agent.run(request.max_redirects_will_error(false).build())
        });
        let mut response = match answer {
            Ok(response) => response,
            Err(error) => {
                return Err(match http::failure(&origin.to_string(), error) {
                    (Arrival::Never, cause) => {
                        self.ledger.release(offer.price);
                        X402Error::NotPaid(cause)
                    }
                    (Arrival::Unknown, cause) => X402Error::MaybePaid { receipt: Box::new(receipt), cause },
                });
            }
        };
        receipt.read(response.headers());
        if response.status() == StatusCode::PAYMENT_REQUIRED {
            let reason = reason(&receipt, &mut response);
            return Err(X402Error::Refused { receipt: Box::new(receipt), reason });
        }
        Ok(Answer { response, receipt: Some(receipt) })
    }

    fn authorize(&self, offer: &Offer) -> Result<Authorization> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)
            .map_err(|cause| Error::config(format!("the system's random source failed: {cause}")))?;
        Ok(Authorization {
            chain: self.wallet.chain(),
            from: self.wallet.address(),
            to: offer.pay_to,
            value: offer.price,
            valid_after: 0,
            valid_before: now().saturating_add(offer.valid_for),
            nonce,
        })
    }
}

/// Releases a reservation when dropped, unless the payment is sent.
struct Reserved<'a>(Option<(&'a Ledger, Usdc)>);

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some((ledger, amount)) = self.0 {
            ledger.release(amount);
        }
    }
}

impl fmt::Debug for X402 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X402")
            .field("wallet", &self.wallet)
            .field("at_most", &self.at_most)
            .field("per_day", &self.per_day)
            .finish_non_exhaustive()
    }
}

/// Why an exchange failed.
pub(crate) enum Failure {
    /// The error of the first request.
    First(ureq::Error),
    Payment(X402Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Payment(error.into())
    }
}

impl From<X402Error> for Failure {
    fn from(error: X402Error) -> Self {
        Failure::Payment(error)
    }
}

/// The caller's request.
struct Asked {
    method: Method,
    uri: Uri,
}

impl Asked {
    /// The target of the payment, if the 402 response came from `answered`.
    fn payable(&self, answered: &Uri) -> Result<(Uri, Origin)> {
        let (asked, origin) = (Origin::of(&self.uri)?, Origin::of(answered)?);
        if asked != origin {
            return Err(Error::new(
                ErrorKind::Offer,
                format!(
                    "{asked} redirected to {origin}, which asks for money: send the request to {origin} to pay it"
                ),
            ));
        }
        // ureq may have turned the request into a GET after a redirect.
        if *answered != self.uri && !matches!(self.method, Method::GET | Method::HEAD) {
            return Err(Error::new(
                ErrorKind::Offer,
                format!(
                    "{origin} redirected and then asked for money: send the request to the target of the redirect"
                ),
            ));
        }
        origin.check_secure()?;
        Ok((answered.clone(), origin))
    }
}

fn reason(receipt: &Receipt, response: &mut Response<Body>) -> String {
    let said = receipt.collected.as_ref().and_then(|collected| collected.reason.clone());
    said.or_else(|| {
        let header = response.headers().get("payment-required").and_then(|header| decode(header.as_bytes()));
        let demand =
            header.or_else(|| serde_json::from_slice(&body::read_demand(response.body_mut())).ok())?;
        demand.get("error").and_then(Value::as_str).map(short)
    })
    .unwrap_or_else(|| "it gives no reason".to_owned())
}

fn unusable(_: ureq::http::Error) -> Error {
    // Omit the text from the error, because it may contain a secret.
    Error::invalid("the URL or a header of the request is unusable")
}
