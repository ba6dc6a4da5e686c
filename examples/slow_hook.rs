//! A hook whose work takes longer than the platform waits: it answers at once, posts a message, shows its progress by
//! editing it, and finishes.
//!
//! `HOOK_KEY=… cargo run --example slow_hook [127.0.0.1:8080]`, with the key of the hook that `/build` belongs to.
//! Needs crustocean.

use std::time::Duration;
use std::{env, thread};

use crustocean::rest::HookClient;
use crustocean::webhook::{HookCall, HookReply, Receiver};
use crustocean::{AgencyId, HookKey, Result};

fn main() -> Result<()> {
    let key: HookKey = env::var("HOOK_KEY").unwrap_or_default().parse()?;
    let hook = HookClient::new(key)?;
    let receiver = Receiver::new().command("/hook", "build", move |call| start(&hook, &call));
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = receiver.serve(address.as_str())?;
    println!("listening on http://{}", server.address());
    server.wait();
    Ok(())
}

/// Answers within the 15 s that the platform waits, whatever the work takes.
fn start(hook: &HookClient, call: &HookCall) -> HookReply {
    let (hook, agency, what) = (hook.clone(), call.agency_id.clone(), call.raw_args.clone());
    thread::spawn(move || {
        if let Err(error) = build(&hook, &agency, &what) {
            eprintln!("building {what}: {error}");
        }
    });
    HookReply::new(format!("Building {}…", call.raw_args)).ephemeral(true)
}

/// The slow job.
fn build(hook: &HookClient, agency: &AgencyId, what: &str) -> Result<()> {
    // Not every server tells the id: then there is nothing to edit, and the end is a message of its own.
    let message = hook.post(agency, &format!("Building {what}: 0 %"))?;
    for percent in [25, 50, 75] {
        thread::sleep(Duration::from_millis(300)); // a part of the work
        if let Some(message) = &message {
            hook.edit(message, &format!("Building {what}: {percent} %"))?;
        }
    }
    let done = format!("Built {what}.");
    match &message {
        Some(message) => hook.edit(message, &done),
        None => hook.post(agency, &done).map(drop),
    }
}
