//! x402 as a middleware for a ureq agent.

use ureq::http::{Request, Response};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Body, RequestExt as _, SendBody};

use crate::x402::body;
use crate::x402::client::{Failure, Paying, X402};
use crate::x402::failure::X402Error;

/// Lets a ureq agent pay. The agent sends the first request. [`X402`]'s own agent ([`X402::agent`]) sends the paid
/// request to the same origin.
///
/// The [`Receipt`](crate::Receipt) is in the extensions of the response. An [`X402Error`] is inside
/// [`ureq::Error::Other`]. An HTTP status is never an error: `http_status_as_error` has no effect.
///
/// ```no_run
/// # fn demo(x402: crustocean_wallet::X402) -> Result<(), Box<dyn std::error::Error>> {
/// use crustocean_wallet::Receipt;
///
/// let agent: ureq::Agent = ureq::config::Config::builder().middleware(x402).build().into();
/// let answer = agent.get("https://api.example.com/weather").call()?;
/// println!("{:?}", answer.extensions().get::<Receipt>());
/// # Ok(()) }
/// ```
impl Middleware for X402 {
    fn handle(
        &self,
        request: Request<SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<Response<Body>, ureq::Error> {
        if request.extensions().get::<Paying>().is_some() {
            return next.handle(request);
        }
        let (parts, sent) = request.into_parts();
        let sent = body::read_sent(sent).map_err(|error| other(error.into()))?;
        let answer = self.exchange(parts, &sent, |request| match request.middleware_config() {
            Some(settings) => next.handle(settings.http_status_as_error(false).build()),
            // This cannot happen inside a middleware.
            None => Err(ureq::Error::ConnectionFailed),
        });
        match answer {
            Ok(mut answer) => {
                if let Some(receipt) = answer.receipt {
                    answer.response.extensions_mut().insert(receipt);
                }
                Ok(answer.response)
            }
            Err(Failure::First(error)) => Err(error),
            Err(Failure::Payment(error)) => Err(other(error)),
        }
    }
}

fn other(error: X402Error) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}
