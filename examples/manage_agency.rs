//! Makes an agency and everything in it: an invite, a skill, a slash command, a webhook subscription.
//!
//! `CRUSTOCEAN_TOKEN=cru_… cargo run --example manage_agency -- NAME COMMAND_URL EVENTS_URL`
//! Needs crustocean.

use std::time::Duration;

use crustocean::{Client, ErrorKind, Result, webhook::WebhookEvent};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, command_url, events_url] = args.as_slice() else {
        eprintln!("usage: manage_agency NAME COMMAND_URL EVENTS_URL");
        std::process::exit(2);
    };
    let client = Client::from_env()?; // CRUSTOCEAN_TOKEN, CRUSTOCEAN_API_URL
    let agency = client.agencies().create(name).charter("Made by an example").private(true).send()?;
    println!("agency {} ({})", agency.slug, agency.id);

    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let invite = client.agencies().invite(&agency.id).max_uses(5).expires_in(week).send()?;
    println!("invite {} (5 uses, a week)", invite.code);

    let skills = client.agencies().skills(&agency.id)?;
    if let Some(skill) = skills.available.first() {
        client.agencies().install_skill(&agency.id, &skill.name)?;
        println!("skill {}", skill.name);
    }

    let command = client.commands(&agency.id).create("price", command_url).description("What it costs");
    match command.send() {
        Ok(created) => {
            println!("command /{}", created.command.name);
            if let Some(key) = created.hook_key {
                println!("HOOK_KEY={}", key.expose()); // shown this once: store it
            }
        }
        Err(error) if error.kind() == ErrorKind::Forbidden => eprintln!("no command: {error}"),
        Err(error) => return Err(error),
    }

    let events = [WebhookEvent::MessageCreated, WebhookEvent::MemberJoined];
    let secret = std::env::var("WEBHOOK_SECRET").unwrap_or_default();
    let mut subscription = client.webhooks(&agency.id).create(events_url, events);
    if !secret.is_empty() {
        subscription = subscription.secret(secret.try_into()?);
    }
    println!("subscription {}", subscription.send()?.id);
    Ok(())
}
