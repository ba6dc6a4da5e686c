//! Settings of a wallet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::chain::Chain;
use crate::error::Result;
use crate::node::Node;
use crate::sender::{Sender, Settings};
use crate::signer::Signer;
use crate::tls;
use crate::wallet::Wallet;
use crate::wei::Wei;

const CONFIRM: Duration = Duration::from_secs(60);
/// The longest `confirm_timeout`. A longer one could exceed the range of a clock.
const MAX_CONFIRM: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_FEE: Wei = Wei::new(1_000_000_000_000_000);

/// Builds a [`Wallet`]. Returned by [`Wallet::builder`].
///
/// ```no_run
/// use std::time::Duration;
/// use crustocean::{Client, PersonalAccessToken};
/// use crustocean_wallet::{Chain, Key, Wallet, Wei};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let wallet = Wallet::builder(Chain::Base)
///     .rpc_url("https://base.example.com/v2/my-key")
///     .confirmations(3)
///     .max_fee(Wei::new(100_000_000_000_000))
///     .client(Client::new(PersonalAccessToken::from_env()?)?)
///     .connect(Key::from_env()?)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing happens before connect()"]
pub struct WalletBuilder {
    chain: Chain,
    rpc_url: Option<String>,
    root_certificate: Option<Vec<u8>>,
    confirmations: u64,
    confirm_timeout: Duration,
    max_fee: Wei,
    client: Option<crustocean::Client>,
}

impl Wallet {
    /// Connects with the default settings.
    ///
    /// # Errors
    /// The kinds of [`WalletBuilder::connect`].
    pub fn connect(chain: Chain, signer: impl Signer + 'static) -> Result<Wallet> {
        Wallet::builder(chain).connect(signer)
    }

    /// Returns a builder with all settings: node, confirmations, fee limit, platform client.
    pub fn builder(chain: Chain) -> WalletBuilder {
        WalletBuilder::new(chain)
    }
}

impl WalletBuilder {
    fn new(chain: Chain) -> Self {
        WalletBuilder {
            chain,
            rpc_url: None,
            root_certificate: None,
            confirmations: 1,
            confirm_timeout: CONFIRM,
            max_fee: MAX_FEE,
            client: None,
        }
    }

    /// Sets the node's URL. Defaults to the chain's public node, which limits the request rate. The wallet believes
    /// the node: use one that you trust.
    pub fn rpc_url(mut self, url: impl Into<String>) -> Self {
        self.rpc_url = Some(url.into());
        self
    }

    /// Sets the certificate authorities for your own node, in PEM, one or several. The node's certificate must then be
    /// from one of these authorities. Defaults to the authorities of the TLS library.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificate = Some(pem.into());
        self
    }

    /// Sets how many blocks, including the payment's own, make a payment final. With more than one, the wallet sends a
    /// payment again that a reorganisation has removed. Defaults to 1, as in the platform's SDK.
    pub fn confirmations(mut self, blocks: u64) -> Self {
        self.confirmations = blocks;
        self
    }

    /// Sets how long a call waits until a payment is final. After this time the call returns
    /// [`MaybeSent`](crate::PaymentError::MaybeSent). At most one day. Defaults to 60 s.
    pub fn confirm_timeout(mut self, limit: Duration) -> Self {
        self.confirm_timeout = limit.min(MAX_CONFIRM);
        self
    }

    /// Sets the highest fee of a transaction: all its gas at the highest price. The wallet signs no transaction with a
    /// higher fee. Defaults to 0.001 ETH.
    pub fn max_fee(mut self, fee: Wei) -> Self {
        self.max_fee = fee;
        self
    }

    /// Sets the client for [`register`](Wallet::register), [`tip`](Wallet::tip) and [`recipient`](Wallet::recipient):
    /// your own, or an agent's (`agent.client()`). Defaults to none: the wallet then looks up names anonymously at
    /// `CRUSTOCEAN_API_URL`.
    pub fn client(mut self, client: crustocean::Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Connects to the node and checks its chain.
    ///
    /// # Errors
    /// [`WrongChain`](crate::ErrorKind::WrongChain) if the node is on another chain,
    /// [`Config`](crate::ErrorKind::Config) if the URL or a certificate is not usable,
    /// [`Connect`](crate::ErrorKind::Connect) or [`Timeout`](crate::ErrorKind::Timeout) if the node cannot be
    /// reached.
    pub fn connect(self, signer: impl Signer + 'static) -> Result<Wallet> {
        let url = self.rpc_url.as_deref().unwrap_or(self.chain.rpc_url());
        let roots = self.root_certificate.as_deref().map(tls::roots).transpose()?;
        let node = Node::connect(self.chain, url, roots)?;
        let settings = Settings {
            confirmations: self.confirmations,
            confirm_timeout: self.confirm_timeout,
            max_fee: self.max_fee,
        };
        Ok(Wallet::new(Sender::new(node, Arc::new(signer), settings), self.client))
    }
}

impl fmt::Debug for WalletBuilder {
    /// Omits the URL, which often contains a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalletBuilder")
            .field("chain", &self.chain)
            .field("confirmations", &self.confirmations)
            .field("confirm_timeout", &self.confirm_timeout)
            .field("max_fee", &self.max_fee)
            .finish_non_exhaustive()
    }
}
