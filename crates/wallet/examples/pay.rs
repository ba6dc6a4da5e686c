//! Pays a Crustocean user in USDC, and prints what happened to the money.
//!
//! ```sh
//! CRUSTOCEAN_WALLET_KEY=0x… cargo run --example pay -- @bob 0.25            # on Base Sepolia, whose money has no value
//! CRUSTOCEAN_WALLET_KEY=0x… cargo run --example pay -- @bob 0.25 base       # on Base
//! ```

use std::error::Error;

use crustocean_wallet::{Chain, Key, PaymentError, Usdc, Wallet};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [to, amount, network @ ..] = arguments.as_slice() else {
        return Err("usage: pay @user|0x… AMOUNT [base]".into());
    };
    let amount: Usdc = amount.parse()?;
    let chain = match network {
        [] => Chain::BaseSepolia,
        [name] if name == "base" => Chain::Base,
        _ => return Err("the network is \"base\", or is left out".into()),
    };
    let wallet = Wallet::connect(chain, Key::from_env()?)?;
    let balances = wallet.balances()?;
    println!("{} has {} USDC and {} ETH", wallet.address(), balances.usdc, balances.eth);
    let recipient = wallet.recipient(to)?;
    println!("paying {amount} USDC to {recipient}");
    match wallet.send(&recipient, amount) {
        Ok(sent) => println!("paid: {}", sent.explorer_url),
        Err(PaymentError::MaybeSent { hash, cause, .. }) => {
            println!("not known yet: {cause}");
            println!("{:?}", wallet.settle(hash)?);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
