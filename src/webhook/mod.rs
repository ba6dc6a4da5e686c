//! Receives the platform's webhook requests, checks that they are genuine, and builds the answers.
//!
//! A [`Receiver`] has a handler for each webhook. It takes requests from any HTTP server, or runs its own small HTTP
//! server. To read and answer single request bodies, use [`HookCall`], [`WebhookDelivery`] and [`PromptRequest`]
//! directly.

mod deliveries;
mod receiver;
mod reply;
#[cfg(feature = "receiver")]
mod request;
#[cfg(feature = "receiver")]
mod server;
mod signature;
#[cfg(feature = "receiver")]
mod write;

pub use deliveries::{Arrival, Deliveries};
pub use receiver::{Answer, IntoOutcome, Receiver};
pub use reply::{HookReply, PromptReply, SignedReply};
#[cfg(feature = "receiver")]
pub use server::Server;
pub use signature::SIGNATURE_HEADER;

#[doc(inline)]
pub use crate::model::{
    HookCall, HookCaller, HookCommand, PromptPermission, PromptRequest, PromptedAgent, WebhookDelivery,
    WebhookEvent, WebhookEventType,
};
pub use crate::token::WebhookSecret;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::model::answer;

impl HookCall {
    /// Reads the request body.
    ///
    /// The platform documents no signature for these requests: keep the URL secret.
    ///
    /// ```
    /// use crustocean::webhook::{HookReply, HookCall};
    ///
    /// /// Status and body of the answer to what was posted.
    /// fn answer(body: &[u8]) -> (u16, String) {
    ///     let reply = match HookCall::from_json(body) {
    ///         Ok(call) if call.command == "price" => {
    ///             let currency = call.option("in").unwrap_or("USD"); // /price ETH --in EUR
    ///             HookReply::new(format!("{} is at 3000 {currency}", call.raw_args)).broadcast(!call.flag("quiet"))
    ///         }
    ///         Ok(call) => HookReply::error(format!("no such command: {}", call.command)),
    ///         Err(error) => HookReply::error(error.to_string()),
    ///     };
    ///     (reply.status(), reply.to_json())
    /// }
    /// # let body = br#"{"agencyId":"a","command":"price","rawArgs":"ETH","sender":{"username":"bob"}}"#;
    /// # assert_eq!(answer(body), (200, r#"{"broadcast":true,"content":"ETH is at 3000 USD"}"#.to_owned()));
    /// # assert_eq!(answer(b"?").0, 500);
    /// ```
    ///
    /// # Errors
    /// [`Protocol`](crate::ErrorKind::Protocol) if the body is not a hook call.
    pub fn from_json(body: &[u8]) -> Result<Self> {
        read(body, "the call of a command")
    }
}

impl WebhookDelivery {
    /// Reads the request body if it is signed with the subscription's secret. `signature` is the value of the header
    /// [`SIGNATURE_HEADER`]; pass an empty text if the request has no such header.
    ///
    /// ```
    /// use crustocean::webhook::{WebhookDelivery, WebhookSecret};
    ///
    /// fn delivered(body: &[u8], signature: Option<&str>, secret: &WebhookSecret) -> crustocean::Result<()> {
    ///     let delivery = WebhookDelivery::from_signed(body, signature.unwrap_or_default(), secret)?;
    ///     if let Some(message) = delivery.message() {
    ///         println!("{}: {}", delivery.event, message.content);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) if the signature is wrong,
    /// [`Config`](crate::ErrorKind::Config) if the secret is empty, [`Protocol`](crate::ErrorKind::Protocol) if the
    /// body is not a delivery.
    pub fn from_signed(body: &[u8], signature: &str, secret: &WebhookSecret) -> Result<Self> {
        secret.verify(body, signature)?;
        Self::from_json(body)
    }

    /// Reads the request body without checking who sent it: for a subscription without a secret.
    ///
    /// # Errors
    /// [`Protocol`](crate::ErrorKind::Protocol) if the body is not a delivery.
    pub fn from_json(body: &[u8]) -> Result<Self> {
        read(body, "the delivery of an event")
    }
}

impl PromptRequest {
    /// Reads the request body if it is signed with the agent's `response_webhook_secret`. `signature` is the value of
    /// the header [`SIGNATURE_HEADER`]; pass an empty text if the request has no such header.
    ///
    /// # Errors
    /// [`Unauthorized`](crate::ErrorKind::Unauthorized) if the signature is wrong,
    /// [`Config`](crate::ErrorKind::Config) if the secret is empty, [`Protocol`](crate::ErrorKind::Protocol) if the
    /// body is not a prompt.
    pub fn from_signed(body: &[u8], signature: &str, secret: &WebhookSecret) -> Result<Self> {
        secret.verify(body, signature)?;
        Self::from_json(body)
    }

    /// Reads the request body without checking who sent it: for an agent without a `response_webhook_secret`.
    ///
    /// # Errors
    /// [`Protocol`](crate::ErrorKind::Protocol) if the body is not a prompt.
    pub fn from_json(body: &[u8]) -> Result<Self> {
        read(body, "the prompt of an agent")
    }
}

/// Reads a request body. The error contains no part of the body, because an agent's configuration may contain keys.
fn read<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Error::protocol(format!("this is not {what}: it is not UTF-8")))?;
    answer::read(text).map_err(|error| Error::protocol(format!("this is not {what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn only_what_is_signed_is_read() {
        let secret = WebhookSecret::try_from("only we know").unwrap();
        let body = br#"{"event":"member.left","agencyId":"ag-1"}"#;
        let signature = secret.sign(body);
        assert_eq!(WebhookDelivery::from_signed(body, &signature, &secret).unwrap().agency_id, "ag-1");
        for (body, signature) in
            [(&body[..], ""), (br#"{"event":"member.left","agencyId":"ag-2"}"#, &signature)]
        {
            let error = WebhookDelivery::from_signed(body, signature, &secret).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
        }
        let body = br#"{"agent":{"id":"usr-9","username":"mybot"}}"#;
        assert!(PromptRequest::from_signed(body, &secret.sign(body), &secret).is_ok());
        assert!(
            PromptRequest::from_signed(body, &WebhookSecret::try_from("x").unwrap().sign(body), &secret)
                .is_err()
        );
    }

    #[test]
    fn what_is_something_else_is_not_quoted() {
        for body in
            [&b""[..], b"\xff", br#"{"agent":"do_not_print_me"}"#, br#"{"agent":{"id":"do_not_print_me"}}"#]
        {
            let errors = [
                PromptRequest::from_json(body).unwrap_err(),
                HookCall::from_json(body).unwrap_err(),
                WebhookDelivery::from_json(body).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::Protocol);
                assert!(!format!("{error} {error:?}").contains("do_not"), "{error:?}");
            }
        }
    }
}
