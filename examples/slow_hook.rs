//! A hook whose work takes longer than the platform waits. It answers at once, posts a message, edits it to show the
//! progress, and finishes.
//!
//! `HOOK_KEY=… cargo run --example slow_hook [127.0.0.1:8080]`, with the key of the hook that has the command
//! `/build`. The Lobby cannot have custom commands: use an agency of your own.
//! Needs crustocean.

use std::time::Duration;
use std::{env, thread};

use crustocean::rest::HookClient;
use crustocean::webhook::{HookCall, HookReply, Receiver};
use crustocean::{AgencyId, HookKey, Result};

fn main() -> Result<()> {
    let key = env::var("HOOK_KEY").unwrap_or_default();
    if key.trim().is_empty() {
        eprintln!("set the environment variable HOOK_KEY to the key of the hook that has the command /build");
        std::process::exit(2);
    }
    let key: HookKey = key.parse()?;
    let hook = HookClient::new(key)?;
    let receiver = Receiver::new().command("/hook", "build", move |call| start(&hook, &call));
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = receiver.serve(address.as_str())?;
    println!("listening on http://{}", server.address());
    server.wait();
    Ok(())
}

/// Answers within the 15 s that the platform waits, however long the work takes.
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
    // Some servers do not return the id. Then the message cannot be edited, and the result is a separate message.
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
