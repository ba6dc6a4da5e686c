//! `/api/webhook-subscriptions`.

use super::Client;
use super::fields::RequestFields;
use crate::error::Result;
use crate::model::{
    AgencyId, List, Subscription, SubscriptionId, WebhookEvent, WebhookEventType, answer, webhook,
};
use crate::token::WebhookSecret;

/// The webhook subscriptions of one agency. Returned by [`Client::webhooks`]. The owner and admins manage the
/// subscriptions. The platform tries each delivery up to three times.
///
/// Source: docs.crustocean.chat, pages "Webhook events" and "Create a subscription".
///
/// ```no_run
/// use crustocean::webhook::WebhookEvent;
///
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let team = client.agencies().lookup("my-team")?;
/// let events = [WebhookEvent::MessageCreated, WebhookEvent::MemberJoined];
/// client.webhooks(&team.id).create("https://example.com/events", events).secret("only we know".parse()?).send()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Webhooks<'a> {
    pub(super) client: &'a Client,
    pub(super) agency: &'a AgencyId,
}

impl Client {
    /// Lists the event types that webhook subscriptions can have on this server.
    ///
    /// ```no_run
    /// # fn demo(client: &crustocean::Client) -> crustocean::Result<()> {
    /// for kind in client.webhook_event_types()? {
    ///     println!("{}", kind.event.as_str());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    #[doc(alias = "listWebhookEventTypes")]
    pub fn webhook_event_types(&self) -> Result<List<WebhookEventType>> {
        self.get(["webhook-subscriptions", "meta", "events"])?.read(webhook::event_types)
    }
}

impl<'a> Webhooks<'a> {
    /// Lists all subscriptions.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you may not manage the agency,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "listWebhookSubscriptions")]
    pub fn list(self) -> Result<List<Subscription>> {
        self.client.get(["webhook-subscriptions", self.agency.as_str()])?.list("subscriptions")
    }

    /// Creates a subscription, when [`send`](CreateSubscription::send) is called. The platform sends the agency's
    /// events to the URL.
    #[doc(alias = "createWebhookSubscription")]
    pub fn create(
        self,
        url: impl Into<String>,
        events: impl IntoIterator<Item = WebhookEvent>,
    ) -> CreateSubscription<'a> {
        let body = RequestFields::default().with("url", url.into()).with("events", names(events));
        CreateSubscription { webhooks: self, body }
    }

    /// Changes a subscription. [`send`](UpdateSubscription::send) sends only the fields that were set.
    #[doc(alias = "updateWebhookSubscription")]
    pub fn update(self, id: &SubscriptionId) -> UpdateSubscription<'a> {
        UpdateSubscription { webhooks: self, id: id.clone(), body: RequestFields::default() }
    }

    /// Deletes a subscription.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you may not manage the agency,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such subscription; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "deleteWebhookSubscription")]
    pub fn delete(self, id: &SubscriptionId) -> Result<()> {
        self.client.delete(["webhook-subscriptions", self.agency.as_str(), id.as_str()])?.done()
    }
}

fn names(events: impl IntoIterator<Item = WebhookEvent>) -> serde_json::Value {
    RequestFields::list(events.into_iter().map(|event| event.as_str().to_owned()))
}

/// A new subscription. Returned by [`Webhooks::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is created before send()"]
pub struct CreateSubscription<'a> {
    webhooks: Webhooks<'a>,
    body: RequestFields,
}

/// A change of a subscription. Returned by [`Webhooks::update`].
///
/// ```no_run
/// # fn demo(client: crustocean::Client, team: crustocean::AgencyId) -> crustocean::Result<()> {
/// for subscription in &client.webhooks(&team).list()? {
///     client.webhooks(&team).update(&subscription.id).url("https://new.example.com/events").send()?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateSubscription<'a> {
    webhooks: Webhooks<'a>,
    id: SubscriptionId,
    body: RequestFields,
}

macro_rules! subscription_fields {
    ($name:ident, $unset:literal) => {
        impl $name<'_> {
            /// Sets the secret that signs the deliveries. The receiver checks the signature.
            #[doc = $unset]
            pub fn secret(self, secret: WebhookSecret) -> Self {
                $name { body: self.body.with("secret", secret.expose()), ..self }
            }

            /// Sets the description.
            #[doc = $unset]
            pub fn description(self, text: impl Into<String>) -> Self {
                $name { body: self.body.with("description", text.into()), ..self }
            }

            /// Enables or disables the deliveries.
            #[doc = $unset]
            pub fn enabled(self, enabled: bool) -> Self {
                $name { body: self.body.with("enabled", enabled), ..self }
            }
        }
    };
}

subscription_fields!(
    CreateSubscription,
    "Defaults to the server's choice: no secret, no description, enabled."
);
subscription_fields!(UpdateSubscription, "If this is not set, the value does not change.");

impl CreateSubscription<'_> {
    /// Creates the subscription.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you may not manage the agency,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<Subscription> {
        let Webhooks { client, agency } = self.webhooks;
        let call = client.post(["webhook-subscriptions", agency.as_str()])?.body(&self.body)?;
        call.read_credential(|json| answer::one(json, "subscription"))
    }
}

impl UpdateSubscription<'_> {
    /// Sets the URL for the events.
    pub fn url(self, url: impl Into<String>) -> Self {
        UpdateSubscription { body: self.body.with("url", url.into()), ..self }
    }

    /// Sets which events the platform sends.
    pub fn events(self, events: impl IntoIterator<Item = WebhookEvent>) -> Self {
        UpdateSubscription { body: self.body.with("events", names(events)), ..self }
    }

    /// Sends the change. Returns the changed subscription.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you may not manage the agency,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such subscription; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<Subscription> {
        let Webhooks { client, agency } = self.webhooks;
        let call = client.patch(["webhook-subscriptions", agency.as_str(), self.id.as_str()])?;
        call.body(&self.body)?.read_credential(|json| answer::one(json, "subscription"))
    }
}
