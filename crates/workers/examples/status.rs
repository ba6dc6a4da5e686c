//! Prints who holds the leases of an agent, and what waits.
//!
//! `REDIS_URL=redis://… cargo run -p crustocean-workers --example status -- larry [--prometheus | --dead]`

use crustocean_workers::{DeadLetters, Status, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let agent = arguments.next().ok_or("usage: status <agent> [--prometheus | --dead]")?;
    let store = Store::from_env()?;
    match arguments.next().as_deref() {
        None => print!("{}", Status::read(&store, &agent)?),
        Some("--prometheus") => print!("{}", Status::read(&store, &agent)?.to_prometheus()),
        Some("--dead") => {
            for letter in DeadLetters::new(&store, &agent)?.list(1000)? {
                println!("{letter}");
            }
        }
        Some(other) => return Err(format!("unknown argument {other}: --prometheus or --dead").into()),
    }
    Ok(())
}
