//! `/api/wallet`.

use super::fields::RequestFields;
use super::{Client, check};
use crate::error::Result;
use crate::model::{AgencyId, Payment, RegisteredWallet, WalletInfo};

/// Your wallet. Returned by [`Client::wallet`]. The platform stores the wallet's public address. This crate never sends
/// a key and makes no transfers.
///
/// Source: docs.crustocean.chat, pages "Wallet info" and "Report a payment".
/// [`Explore::wallet`](crate::rest::Explore::wallet) returns another user's address.
///
/// # Examples
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// client.wallet().register("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")?;
/// println!("{:?}", client.wallet().info()?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Wallet<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Wallet<'a> {
    /// Returns the address and its balances.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    #[doc(alias = "getWalletInfo")]
    pub fn info(self) -> Result<WalletInfo> {
        self.client.get(["wallet"])?.one("wallet")
    }

    /// Registers this address as yours.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the address is not `0x` and 40 hexadecimal digits; otherwise the kinds
    /// of [every call](crate::rest#errors).
    #[doc(alias = "registerWallet")]
    pub fn register(self, address: &str) -> Result<RegisteredWallet> {
        check::address(address)?;
        let body = RequestFields::default().with("address", address);
        self.client.post(["wallet", "register"])?.body(&body)?.one("wallet")
    }

    /// Removes your address.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    pub fn unregister(self) -> Result<()> {
        self.client.delete(["wallet", "register"])?.done()
    }

    /// Reports a transfer to an agency, when [`send`](ReportPayment::send) is called. The receiver is `@username` or an
    /// address. The amount is a decimal number.
    ///
    /// ```no_run
    /// # fn demo(client: crustocean::Client, team: crustocean::AgencyId, hash: &str) -> crustocean::Result<()> {
    /// let payment = client.wallet().report_payment(hash, &team, "@bob", "5.00").send()?;
    /// println!("{:?}", payment.explorer_url);
    /// # Ok(()) }
    /// ```
    #[doc(alias = "reportPayment")]
    pub fn report_payment(
        self,
        tx_hash: impl Into<String>,
        agency: &AgencyId,
        to: impl Into<String>,
        amount: impl Into<String>,
    ) -> ReportPayment<'a> {
        let body = RequestFields::default().with("txHash", tx_hash.into()).with("agencyId", agency.as_str());
        ReportPayment { client: self.client, body: body.with("to", to.into()).with("amount", amount.into()) }
    }
}

/// A transfer to report. Returned by [`Wallet::report_payment`].
#[derive(Debug, Clone)]
#[must_use = "nothing is reported before send()"]
pub struct ReportPayment<'a> {
    client: &'a Client,
    body: RequestFields,
}

impl ReportPayment<'_> {
    /// Sets the currency. Defaults to `USDC`.
    pub fn token(self, token: impl Into<String>) -> Self {
        ReportPayment { body: self.body.with("token", token.into()), ..self }
    }

    /// Reports the transfer.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the hash is not `0x` and 64 hexadecimal digits, the receiver is
    /// neither `@username` nor an address, or the amount is not a decimal number.
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if an agent exceeded its limit. The report then fails, although the
    /// transfer itself has taken place.
    pub fn send(self) -> Result<Payment> {
        let text = |key| self.body.text(key).unwrap_or_default();
        check::transaction(text("txHash"))?;
        check::payee(text("to"))?;
        check::amount(text("amount"))?;
        self.client.post(["wallet", "payment"])?.body(&self.body)?.one("payment")
    }
}
