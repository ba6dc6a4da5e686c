//! A wallet: an address, its signer, and a node.

use std::fmt;
use std::sync::Arc;

use crustocean::model::RegisteredWallet;

use crate::address::{Address, TxHash};
use crate::chain::Chain;
use crate::error::{Error, ErrorKind, Result};
use crate::node::{Mined, call_data};
use crate::payment::{Confirmed, PaymentError, Sent, Settlement};
use crate::recipient::Recipient;
use crate::sender::{Outcome, Sender};
use crate::signer::Signer;
use crate::usdc::Usdc;
use crate::wei::Wei;

const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];

/// The balances of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Balances {
    /// US dollars.
    pub usdc: Usdc,
    /// Ether, for fees.
    pub eth: Wei,
}

/// A USDC wallet on one chain. Cheap to clone: clones share a connection pool and a lock, so any number of threads may
/// pay at the same time.
///
/// ```no_run
/// use crustocean_wallet::{Chain, Key, Wallet};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let wallet = Wallet::connect(Chain::BaseSepolia, Key::from_env()?)?; // CRUSTOCEAN_WALLET_KEY
/// println!("{} has {} USDC", wallet.address(), wallet.balances()?.usdc);
///
/// let bob = wallet.recipient("@bob")?;
/// println!("paying {bob}"); // the address, before anything is signed
/// let sent = wallet.send(&bob, "0.25".parse()?)?;
/// println!("{}", sent.explorer_url);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Wallet(Arc<Inner>);

struct Inner {
    sender: Sender,
    client: Option<crustocean::Client>,
}

impl Wallet {
    pub(crate) fn new(sender: Sender, client: Option<crustocean::Client>) -> Self {
        Wallet(Arc::new(Inner { sender, client }))
    }

    /// The wallet's address.
    pub fn address(&self) -> Address {
        self.0.sender.signer.address()
    }

    /// The wallet's chain.
    pub fn chain(&self) -> Chain {
        self.0.sender.node.chain
    }

    /// The balances in the latest block.
    ///
    /// # Errors
    /// [`Connect`](ErrorKind::Connect), [`Timeout`](ErrorKind::Timeout), [`Node`](ErrorKind::Node) or
    /// [`Protocol`](ErrorKind::Protocol) if the node cannot be asked.
    pub fn balances(&self) -> Result<Balances> {
        let node = &self.0.sender.node;
        Ok(Balances { usdc: node.usdc(self.address())?, eth: node.ether(self.address())? })
    }

    /// Looks up `@bob`, or parses an address. The platform returns a user's address; check it before you pay.
    ///
    /// # Errors
    /// [`Platform`](ErrorKind::Platform) if there is no such user, [`Invalid`](ErrorKind::Invalid) if the user has no
    /// wallet or the text is neither `@username` nor an address.
    pub fn recipient(&self, to: &str) -> Result<Recipient> {
        let Some(name) = to.strip_prefix('@') else {
            return to.parse::<Address>().map(Recipient::from).map_err(|error| {
                Error::invalid(format!("a recipient is \"@username\" or an address, and {error}"))
            });
        };
        if name.is_empty() {
            return Err(Error::invalid("a recipient is \"@username\" or an address"));
        }
        let failed = |error| Error::platform(&format!("the wallet of @{name}"), error);
        let anonymous = match &self.0.client {
            Some(_) => None,
            None => Some(crustocean::Client::anonymous().map_err(failed)?),
        };
        let Some(client) = self.0.client.as_ref().or(anonymous.as_ref()) else {
            return Err(no_client());
        };
        let wallet = client.explore().wallet(name).map_err(failed)?;
        if !wallet.username.eq_ignore_ascii_case(name) {
            return Err(Error::protocol(format!(
                "the platform returned the wallet of another user than @{name}"
            )));
        }
        let address = wallet.address.filter(|address| !address.is_empty());
        let address = address.ok_or_else(|| Error::invalid(format!("@{name} has registered no wallet")))?;
        let recipient = Recipient::user(wallet.username, address.parse()?);
        recipient.check(self.chain())?;
        Ok(recipient)
    }

    /// Pays, and returns when the payment is final: by default, when it is in a block.
    ///
    /// # Errors
    /// Each error says what happened to the money: see [`PaymentError`].
    pub fn send(&self, to: impl Into<Recipient>, amount: Usdc) -> Result<Sent, PaymentError> {
        let to = to.into();
        self.can_pay(&to, amount).map_err(PaymentError::NotSent)?;
        let data = call_data(TRANSFER, &[to.address().word(), amount.word()]);
        let (hash, mined) = self.0.sender.call(self.chain().usdc(), data)?;
        if !mined.transfers.contains(&(to.address(), amount)) {
            let cause =
                Error::protocol("the transaction succeeded, but its receipt does not show the payment");
            return Err(PaymentError::MaybeSent { hash, cause });
        }
        Ok(self.sent(hash, &mined, to.address(), amount))
    }

    /// Checks before a payment that the receiver and the amount are valid and that the balance is high enough.
    pub(crate) fn can_pay(&self, to: &Recipient, amount: Usdc) -> Result<()> {
        to.check(self.chain())?;
        amount.not_zero()?;
        let balance = self.0.sender.node.usdc(self.address())?;
        if balance < amount {
            return Err(Error::new(
                ErrorKind::Funds,
                format!("not enough USDC: {} has {balance}, and the payment is {amount}", self.address()),
            ));
        }
        Ok(())
    }

    /// Allows an address, usually a contract, to take up to this amount. [`Usdc::ZERO`] revokes an approval.
    ///
    /// # Errors
    /// Each error says what happened to the transaction: see [`PaymentError`].
    pub fn approve(&self, spender: Address, amount: Usdc) -> Result<Confirmed, PaymentError> {
        Recipient::from(spender).check(self.chain()).map_err(PaymentError::NotSent)?;
        let data = call_data(APPROVE, &[spender.word(), amount.word()]);
        let (hash, mined) = self.0.sender.call(self.chain().usdc(), data)?;
        Ok(self.confirmed(hash, &mined))
    }

    /// Waits for the definite result of a transaction of this wallet, at most `confirm_timeout`.
    ///
    /// If the node has lost a transaction of this `Wallet`, sends the same bytes again, which never pays twice. For a
    /// hash from before this `Wallet` was connected, the result may be [`Settlement::Unknown`].
    ///
    /// # Errors
    /// [`Connect`](ErrorKind::Connect), [`Timeout`](ErrorKind::Timeout), [`Node`](ErrorKind::Node) or
    /// [`Protocol`](ErrorKind::Protocol) if the node cannot be asked.
    pub fn settle(&self, hash: TxHash) -> Result<Settlement> {
        match self.0.sender.wait(hash) {
            (Outcome::Unknown, Some(error)) => Err(error),
            (outcome, _) => Ok(self.settlement(outcome)),
        }
    }

    /// Sends a pending transaction again with a higher fee and the same nonce, and waits for the result. Only one of
    /// the two gets into a block.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the transaction is not among the last 256 of this `Wallet`,
    /// [`Fee`](ErrorKind::Fee) if the fee would exceed the limit, [`Signer`](ErrorKind::Signer) if the signer fails,
    /// otherwise the kinds of [`settle`](Wallet::settle). After an error the transaction may still succeed.
    pub fn speed_up(&self, hash: TxHash) -> Result<Settlement> {
        self.0.sender.replace(hash, false).map(|outcome| self.settlement(outcome))
    }

    /// Cancels a pending transaction: sends an empty transaction with the same nonce and a higher fee. Only one of the
    /// two gets into a block: [`Settlement::Replaced`] if this was the empty one, [`Settlement::Sent`] if it was the
    /// payment.
    ///
    /// # Errors
    /// The kinds of [`speed_up`](Wallet::speed_up).
    pub fn cancel(&self, hash: TxHash) -> Result<Settlement> {
        self.0.sender.replace(hash, true).map(|outcome| self.settlement(outcome))
    }

    /// Registers this address with the platform as yours.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) without a [client](crate::WalletBuilder::client),
    /// [`Platform`](ErrorKind::Platform) if the platform refuses.
    pub fn register(&self) -> Result<RegisteredWallet> {
        let registered = self.client()?.wallet().register(&self.address().to_string());
        registered.map_err(|error| Error::platform("registering the wallet", error))
    }

    pub(crate) fn client(&self) -> Result<&crustocean::Client> {
        self.0.client.as_ref().ok_or_else(no_client)
    }

    pub(crate) fn signer(&self) -> &dyn Signer {
        &*self.0.sender.signer
    }

    /// Whether an x402 authorization was used or cancelled.
    pub(crate) fn is_used(&self, nonce: [u8; 32]) -> Result<bool> {
        self.0.sender.node.is_used(self.address(), nonce)
    }

    fn settlement(&self, outcome: Outcome) -> Settlement {
        match outcome {
            Outcome::Mined { mined, .. } if !mined.succeeded => Settlement::Reverted,
            Outcome::Mined { hash, .. } if self.0.sender.is_cancellation(hash) => Settlement::Replaced,
            Outcome::Mined { hash, mined } => match mined.transfers.first() {
                Some((to, amount)) => Settlement::Sent(self.sent(hash, &mined, *to, *amount)),
                None => Settlement::Confirmed(self.confirmed(hash, &mined)),
            },
            Outcome::Replaced => Settlement::Replaced,
            Outcome::Pending => Settlement::Pending,
            Outcome::Unknown => Settlement::Unknown,
        }
    }

    fn sent(&self, hash: TxHash, mined: &Mined, to: Address, amount: Usdc) -> Sent {
        let Confirmed { hash, block, fee, explorer_url } = self.confirmed(hash, mined);
        Sent { hash, to, amount, block, fee, explorer_url }
    }

    fn confirmed(&self, hash: TxHash, mined: &Mined) -> Confirmed {
        let explorer_url = self.chain().transaction_url(hash);
        Confirmed { hash, block: mined.block, fee: mined.fee, explorer_url }
    }
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wallet")
            .field("address", &self.address())
            .field("chain", &self.chain())
            .finish_non_exhaustive()
    }
}

fn no_client() -> Error {
    Error::config("this needs a client of the platform: Wallet::builder(..).client(client)")
}
