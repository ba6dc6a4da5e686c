//! `/api/wallet`.

use super::fields::Fields;
use super::{Client, check};
use crate::error::Result;
use crate::model::{AgencyId, Payment, RegisteredWallet, WalletInfo};

/// Your wallet: [`Client::wallet`]. The platform knows its public address; no key is ever sent, and the transfers
/// themselves are made elsewhere.
///
/// docs.crustocean.chat, pages "Wallet info" and "Report a payment". What others are paid at:
/// [`Explore::wallet`](crate::rest::Explore::wallet).
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
    /// The address, and what is on it.
    ///
    /// # Errors
    /// As [every call](crate::rest#errors).
    #[doc(alias = "getWalletInfo")]
    pub fn info(self) -> Result<WalletInfo> {
        self.client.get(["wallet"])?.one("wallet")
    }

    /// Makes this address yours.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is not `0x` and 40 hexadecimal digits; else as [every call](crate::rest#errors).
    #[doc(alias = "registerWallet")]
    pub fn register(self, address: &str) -> Result<RegisteredWallet> {
        check::address(address)?;
        let body = Fields::default().with("address", address);
        self.client.post(["wallet", "register"])?.body(&body)?.one("wallet")
    }

    /// Forgets your address.
    ///
    /// # Errors
    /// As [every call](crate::rest#errors).
    pub fn unregister(self) -> Result<()> {
        self.client.delete(["wallet", "register"])?.done()
    }

    /// Tells an agency of a transfer that was made: to `@username` or to an address, an amount in decimal digits. Call
    /// [`send`](ReportPayment::send) to tell it.
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
        let body = Fields::default().with("txHash", tx_hash.into()).with("agencyId", agency.as_str());
        ReportPayment { client: self.client, body: body.with("to", to.into()).with("amount", amount.into()) }
    }
}

/// A transfer to be reported: [`Wallet::report_payment`].
#[derive(Debug, Clone)]
#[must_use = "nothing is reported before send()"]
pub struct ReportPayment<'a> {
    client: &'a Client,
    body: Fields,
}

impl ReportPayment<'_> {
    /// What was transferred. Defaults to `USDC`.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.body.set("token", token.into());
        self
    }

    /// Reports it.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the hash is not `0x` and 64 hexadecimal digits, the receiver neither
    /// `@username` nor an address, or the amount no decimal number. [`Forbidden`](crate::ErrorKind::Forbidden) if an
    /// agent went over its limit; the transfer itself has happened all the same.
    pub fn send(self) -> Result<Payment> {
        let text = |key| self.body.text(key).unwrap_or_default();
        check::transaction(text("txHash"))?;
        check::payee(text("to"))?;
        check::amount(text("amount"))?;
        self.client.post(["wallet", "payment"])?.body(&self.body)?.one("payment")
    }
}
