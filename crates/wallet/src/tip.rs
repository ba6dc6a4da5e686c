//! Tips: a payment, and a message about it in a room.

use crustocean::{AgencyId, model::Payment};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::payment::{PaymentError, Sent};
use crate::recipient::Recipient;
use crate::usdc::Usdc;
use crate::wallet::Wallet;

/// A paid tip. Returned by [`Wallet::tip`].
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
    /// Pays a user and reports the payment in a room. Before the payment, checks that you are in the room, that the
    /// platform uses this chain, and that the agent's limit for one payment and the balance are high enough.
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
        let limit = info.spending_config.as_ref().map_or(Ok(None), limit_per_payment)?;
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
    // The official clients send the token's name, too.
    report.token("USDC").send()
}

/// The limit for one payment. `None` if the platform reports none.
///
/// # Errors
/// `Limit` if the limit is not an amount. The platform would refuse the report of a payment above the limit.
fn limit_per_payment(config: &Value) -> Result<Option<Usdc>> {
    let limit = match config.get("wallet_spend_limit_per_tx") {
        None | Some(Value::Null) => return Ok(None),
        Some(limit) => limit,
    };
    let text = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
    let limit = text.parse().ok().or_else(|| rounded_down(&text));
    limit.map(Some).ok_or_else(|| {
        Error::new(
            ErrorKind::Limit,
            "the platform's limit for one payment of this agent is no amount of USDC",
        )
    })
}

/// Parses a number in any notation, and rounds it down to the decimals of USDC.
fn rounded_down(text: &str) -> Option<Usdc> {
    let number: f64 = text.parse().ok()?;
    if !number.is_finite() || number.is_sign_negative() {
        return None;
    }
    // `to_string` writes the number without an exponent.
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let units: String = whole.chars().chain(fraction.chars().chain("000000".chars()).take(6)).collect();
    // Parsing fails only for too many digits. Such a limit is above all amounts.
    Some(Usdc::from_units(units.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn limits_are_read_as_numbers_and_as_text() {
        let limit = |value: Value| {
            limit_per_payment(&json!({ "wallet_spend_limit_per_tx": value }))
                .map(|limit| limit.map(Usdc::units))
                .map_err(|error| error.kind())
        };
        for (value, units) in [
            (json!(10), 10_000_000),
            (json!("0.5"), 500_000),
            (json!(2.5), 2_500_000),
            (json!(0), 0),
            (json!("0.00"), 0),
            // More decimals than USDC has, and exponents. A limit is never rounded up.
            (json!(0.1 + 0.2), 300_000),
            (json!("5.0000000"), 5_000_000),
            (json!("0.2999999999"), 299_999),
            (json!(1e-7), 0),
            (json!("1e1"), 10_000_000),
            (json!(1e30), u64::MAX),
            (json!("99999999999999999999"), u64::MAX),
        ] {
            assert_eq!(limit(value.clone()), Ok(Some(units)), "{value}");
        }
        assert_eq!(limit(json!(null)), Ok(None));
        assert_eq!(limit_per_payment(&json!({})).unwrap(), None);
        for unreadable in
            [json!("much"), json!(""), json!(-1), json!("NaN"), json!("inf"), json!(true), json!([1])]
        {
            assert_eq!(limit(unreadable.clone()), Err(ErrorKind::Limit), "{unreadable}");
        }
    }
}
