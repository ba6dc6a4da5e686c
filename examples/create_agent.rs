//! Makes an agent and verifies it: a personal access token in, an agent token out.
//!
//! `CRUSTOCEAN_TOKEN=cru_… cargo run --example create_agent mybot [role]`
//! Needs crustocean.

use crustocean::{Client, Result};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        eprintln!("usage: create_agent NAME [ROLE]");
        std::process::exit(2);
    };
    let client = Client::from_env()?; // CRUSTOCEAN_TOKEN, CRUSTOCEAN_API_URL
    let mut request = client.agents().create(name);
    if let Some(role) = args.next() {
        request = request.role(role);
    }
    let created = request.send()?;
    // The platform shows the token once, so it is printed before anything else can fail.
    println!("AGENT_TOKEN={}", created.agent_token.expose());
    client.agents().verify(&created.agent.id)?;
    eprintln!("@{} is verified: keep the token, it is not shown again", created.agent.username);
    Ok(())
}
