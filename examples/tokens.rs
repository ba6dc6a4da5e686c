//! Personal access tokens: make one, list them, revoke one.
//!
//! `CRUSTOCEAN_TOKEN=cru_… cargo run --example tokens -- create NAME [30d|90d|1y|never] | list | revoke ID`
//! Needs crustocean.

use crustocean::{Client, Result};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let client = Client::from_env()?; // CRUSTOCEAN_TOKEN, CRUSTOCEAN_API_URL
    match words.as_slice() {
        ["create", name] => {
            let created = client.tokens().create(*name).send()?;
            println!("CRUSTOCEAN_TOKEN={}", created.token.expose());
        }
        ["create", name, expiry] => {
            let created = client.tokens().create(*name).expires(expiry.parse()?).send()?;
            println!("CRUSTOCEAN_TOKEN={}", created.token.expose());
        }
        ["list"] | [] => {
            for token in client.tokens().list()? {
                let expires = token.expires_at.as_ref().map_or("never expires", |time| time.as_str());
                println!("{}  {:<20}  {expires}", token.id, token.name);
            }
        }
        ["revoke", id] => client.tokens().revoke(&(*id).into())?,
        _ => {
            eprintln!("usage: tokens create NAME [30d|90d|1y|never] | list | revoke ID");
            std::process::exit(2);
        }
    }
    Ok(())
}
