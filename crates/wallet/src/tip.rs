//! Tips: a payment, and a message about it in a room.

use crustocean::{AgencyId, model::Payment};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::payment::{PaymentError, Sent};
use crate::recipient::Recipient;
use crate::usdc::Usdc;
use crate::wallet::Wallet;

/// A tip that was paid. Returned by [`Wallet::tip`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Tip {
    /// The payment.
    pub sent: Sent,
    /// Whether the room got the message. If not, repeat only the report with [`Wallet::report`]: the payment has been
    /// made.
    pub report: Result<Payment, crustocean::Error>,
}

impl Wallet {
    /// Pays a user and reports it in a room. First checks everything that can be known: whether you are in the room,
    /// whether the platform uses this chain, the agent's limit for one payment, the balance.
    ///
    /// ```no_run
    /// # fn demo(wallet: &crustocean_wallet::Wallet, room: &crustocean::AgencyId)
    /// #     -> Result<(), Box<dyn std::error::Error>> {
    /// let bob = wallet.recipient("@bob")?;
    /// let tip = wallet.tip(&bob, "0.50".parse()?, room)?;
    /// if let Err(error) = &tip.report {
    ///     eprintln!("paid, but the room does not know: {error}");
    ///     wallet.report(&tip.sent, &bob, room)?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Each error says what happened to the money: see [`PaymentError`]. After the payment there is no error: a
    /// failed report is in [`Tip::report`].
    pub fn tip(&self, to: &Recipient, amount: Usdc, room: &AgencyId) -> Result<Tip, PaymentError> {
        let client = self.client().map_err(PaymentError::NotSent)?;
        self.can_tip(client, to, amount, room).map_err(PaymentError::NotSent)?;
        let sent = self.send(to, amount)?;
        let report = report(client, &sent, to, room);
        Ok(Tip { sent, report })
    }

    /// Reports a payment in a room.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) without a [client](crate::WalletBuilder::client); otherwise
    /// [`Platform`](ErrorKind::Platform) with the platform's error.
    pub fn report(&self, sent: &Sent, to: &Recipient, room: &AgencyId) -> Result<Payment> {
        report(self.client()?, sent, to, room)
            .map_err(|error| Error::platform("reporting the payment", error))
    }

    fn can_tip(
        &self,
        client: &crustocean::Client,
        to: &Recipient,
        amount: Usdc,
        room: &AgencyId,
    ) -> Result<()> {
        if to.address() == self.address() {
            return Err(Error::invalid("the tip would go to this wallet itself"));
        }
        self.can_pay(to, amount)?;
        let failed = |what: &'static str| move |error| Error::platform(what, error);
        let agencies = client.agencies().list().map_err(failed("looking for the room"))?;
        let joined = match agencies.iter().find(|agency| agency.id == *room) {
            Some(agency) => agency.is_member != Some(false),
            None => client
                .dms()
                .list()
                .map_err(failed("looking for the room"))?
                .iter()
                .any(|dm| dm.agency_id == *room),
        };
        if !joined {
            return Err(Error::invalid(format!("you are not in the room {room}: join it first")));
        }
        let network =
            client.explore().capabilities().map_err(failed("asking what the platform can do"))?.network;
        if let Some(network) = network.filter(|network| network.as_str() != self.chain().name()) {
            return Err(Error::new(
                ErrorKind::WrongChain,
                format!("the platform is on {}, this wallet on {}", network.as_str(), self.chain()),
            ));
        }
        let info = client.wallet().info().map_err(failed("asking what may be spent"))?;
        let limit = info.spending_config.as_ref().and_then(limit_per_payment);
        if let Some(limit) = limit.filter(|limit| amount > *limit) {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "the platform lets this agent spend {limit} USDC in one payment: its owner can raise that"
                ),
            ));
        }
        Ok(())
    }
}

fn report(
    client: &crustocean::Client,
    sent: &Sent,
    to: &Recipient,
    room: &AgencyId,
) -> Result<Payment, crustocean::Error> {
    let report =
        client.wallet().report_payment(sent.hash.to_string(), room, to.payee(), sent.amount.to_string());
    // The official clients send it, too.
    report.token("USDC").send()
}

/// `None` if it is not in a known form.
fn limit_per_payment(config: &Value) -> Option<Usdc> {
    let limit = config.get("wallet_spend_limit_per_tx")?;
    let text = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
    match text.parse() {
        Ok(limit) => Some(limit),
        Err(_) if text.trim_matches(['0', '.']).is_empty() => Some(Usdc::ZERO),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn limits_are_read_as_numbers_and_as_text() {
        let limit = |value: Value| limit_per_payment(&json!({ "wallet_spend_limit_per_tx": value }));
        assert_eq!(limit(json!(10)), Some(Usdc::from_units(10_000_000)));
        assert_eq!(limit(json!("0.5")), Some(Usdc::from_units(500_000)));
        assert_eq!(limit(json!(2.5)), Some(Usdc::from_units(2_500_000)));
        assert_eq!(limit(json!(0)), Some(Usdc::ZERO));
        assert_eq!(
            (limit(json!(null)), limit(json!("much")), limit_per_payment(&json!(7))),
            (None, None, None)
        );
    }
}
