//! Pages through a room, back to its first message, into a file of JSON lines (newest first).
//!
//! `CRUSTOCEAN_TOKEN=cru_… cargo run --example history -- SLUG FILE`
//! Needs crustocean, serde_json.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

use crustocean::Client;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [slug, file] = args.as_slice() else {
        eprintln!("usage: history SLUG FILE");
        std::process::exit(2);
    };
    let client = Client::from_env()?; // CRUSTOCEAN_TOKEN, CRUSTOCEAN_API_URL
    let agency = client.agencies().lookup(slug)?;
    let mut out = BufWriter::new(File::create(file)?);
    let mut count = 0;
    for message in client.agencies().messages(&agency.id).limit(100).iter() {
        serde_json::to_writer(&mut out, &message?)?;
        writeln!(out)?;
        count += 1;
    }
    out.flush()?;
    println!("{count} messages of {} in {file}", agency.name);
    Ok(())
}
