//! The two limits, without which nothing can be paid.

use crate::usdc::Usdc;
use crate::wallet::Wallet;
use crate::x402::client::X402;

impl X402 {
    /// Pays with this wallet. Both limits are mandatory.
    #[expect(clippy::new_ret_no_self, reason = "without its limits there is none")]
    pub fn new(wallet: &Wallet) -> X402WithoutLimits {
        X402WithoutLimits { wallet: wallet.clone() }
    }
}

/// What [`X402::new`] begins with: [`at_most`](X402WithoutLimits::at_most) is next.
#[derive(Debug, Clone)]
#[must_use = "it cannot pay before at_most() and per_day()"]
pub struct X402WithoutLimits {
    wallet: Wallet,
}

impl X402WithoutLimits {
    /// What one request may cost.
    pub fn at_most(self, amount: Usdc) -> X402WithoutDailyLimit {
        X402WithoutDailyLimit { wallet: self.wallet, at_most: amount }
    }
}

/// With a limit for one request: [`per_day`](X402WithoutDailyLimit::per_day) is next.
#[derive(Debug, Clone)]
#[must_use = "it cannot pay before per_day()"]
pub struct X402WithoutDailyLimit {
    wallet: Wallet,
    at_most: Usdc,
}

impl X402WithoutDailyLimit {
    /// What all requests of 24 hours may cost together.
    pub fn per_day(self, amount: Usdc) -> X402 {
        X402::with_limits(self.wallet, self.at_most, amount)
    }
}
