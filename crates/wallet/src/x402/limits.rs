//! The two required limits of payments.

use crate::usdc::Usdc;
use crate::wallet::Wallet;
use crate::x402::client::X402;

impl X402 {
    /// Creates a client that pays from this wallet. Both limits are required.
    #[expect(clippy::new_ret_no_self, reason = "without its limits there is none")]
    pub fn new(wallet: &Wallet) -> X402WithoutLimits {
        X402WithoutLimits { wallet: wallet.clone() }
    }
}

/// The first step of [`X402::new`]. Continue with [`at_most`](X402WithoutLimits::at_most).
#[derive(Debug, Clone)]
#[must_use = "it cannot pay before at_most() and per_day()"]
pub struct X402WithoutLimits {
    wallet: Wallet,
}

impl X402WithoutLimits {
    /// Sets the highest price of one request.
    pub fn at_most(self, amount: Usdc) -> X402WithoutDailyLimit {
        X402WithoutDailyLimit { wallet: self.wallet, at_most: amount }
    }
}

/// The second step of [`X402::new`]. Continue with [`per_day`](X402WithoutDailyLimit::per_day).
#[derive(Debug, Clone)]
#[must_use = "it cannot pay before per_day()"]
pub struct X402WithoutDailyLimit {
    wallet: Wallet,
    at_most: Usdc,
}

impl X402WithoutDailyLimit {
    /// Sets the highest sum for all requests within 24 hours.
    pub fn per_day(self, amount: Usdc) -> X402 {
        X402::with_limits(self.wallet, self.at_most, amount)
    }
}
