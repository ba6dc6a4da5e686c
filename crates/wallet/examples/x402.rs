//! Requests a page that costs money. Pays at most 0.01 USDC per request and 1 USDC in 24 hours, also across restarts.
//!
//! ```sh
//! CRUSTOCEAN_WALLET_KEY=0x… cargo run --example x402 -- https://api.example.com/weather
//! ```

use std::error::Error;

use crustocean_wallet::{Chain, Key, Wallet, X402, X402Error};

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: x402 URL")?;
    let wallet = Wallet::connect(Chain::Base, Key::from_env()?)?;
    let x402 = X402::new(&wallet).at_most("0.01".parse()?).per_day("1".parse()?).ledger("spent.json")?;
    match x402.get(&url) {
        Ok(mut answer) => {
            if let Some(receipt) = &answer.receipt {
                eprintln!("paid {} USDC, {} in 24 hours", receipt.amount, x402.spent()?);
            }
            println!("{}", answer.response.body_mut().read_to_string()?);
            Ok(())
        }
        Err(error @ X402Error::MaybePaid { .. }) => {
            if let Some(receipt) = error.receipt() {
                eprintln!("collected: {}", x402.is_collected(receipt)?);
            }
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}
