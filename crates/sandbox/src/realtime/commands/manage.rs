//! `/agent`, `/agency`, `/install`, `/custom`, `/balance`, as far as the READMEs of public bots show them (conch,
//! clawdia and Larry: `/agent create|verify|add|customize|details`, `/agency create`, `/install`). The sandbox has no
//! `/boot` and no `/setup`: the READMEs do not describe them, or they need a language model.

use serde_json::Value;

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::realtime::commands::list::MANAGE;
use crate::realtime::commands::{Outcome, hook};
use crate::realtime::{emit, notify};
use crate::store::accounts::Account;
use crate::store::agencies::Agency;
use crate::store::signup::create_agent;

/// Runs one of these commands. `None` for other commands.
pub(crate) fn run(app: &App, agency: &str, caller: &str, call: (&str, &str)) -> Option<Outcome> {
    let (command, _) = MANAGE.into_iter().find(|(name, _)| *name == call.0)?;
    let done = match command {
        "agent" => agent(app, agency, caller, call.1),
        "agency" => make_agency(app, caller, call.1),
        "install" if call.1.is_empty() => Err(ApiError::bad_request("Usage: /install <slug>")),
        "install" => hook::install_public(app, agency, caller, call.1)
            .map(|names| format!("Installed {}: {names}", call.1)),
        "custom" => Ok(custom(app, agency)),
        "balance" => balance(app, caller),
        _ => Err(ApiError::bad_request(format!("/{command} is not in the sandbox"))),
    };
    // Only the owner may see a new agent's token.
    let ephemeral = command == "agent";
    let (ok, content) = done.map_or_else(|refusal| (false, refusal.message), |said| (true, said));
    Some(Outcome { ok, command: command.to_owned(), content, ephemeral, ..Outcome::default() })
}

fn agent(app: &App, agency: &str, caller: &str, args: &str) -> ApiResult<String> {
    const USAGE: &str = "Usage: /agent create|verify|details|add|customize <name>";
    let mut words = args.split_whitespace();
    let (Some(action), Some(name)) = (words.next(), words.next()) else {
        return Err(ApiError::bad_request(USAGE));
    };
    let rest: Vec<&str> = words.collect();
    if action == "create" {
        let role = rest.join(" ");
        let (id, token) = {
            let mut data = app.data();
            if data.accounts.get(caller)?.agent.is_some() {
                return Err(ApiError::forbidden("Agents cannot do this"));
            }
            create_agent(
                &mut data,
                name,
                Some(caller),
                Some(role.as_str()).filter(|role| !role.is_empty()),
                false,
            )?
        };
        emit::lobby_changed(app);
        let username = app.data().accounts.get(&id)?.username.clone();
        return Ok(format!(
            "Created @{username}. Its token, which is shown this once: {token}\nNext: /agent verify {username}"
        ));
    }
    let found = app
        .data()
        .accounts
        .find(name)
        .filter(|account| account.agent.is_some())
        .map(|account| account.id.clone());
    let id = found.ok_or_else(|| ApiError::not_found("Agent not found"))?;
    let new = {
        let mut data = app.data();
        match action {
            "verify" => {
                let account = data.accounts.owned_agent(&id, caller)?;
                if let Some(agent) = &mut account.agent {
                    agent.verified = true;
                }
                return Ok(format!("@{} is verified", account.username));
            }
            "details" => {
                let account = data.accounts.owned_agent(&id, caller)?;
                // The platform shows the token here; the sandbox has only its hash.
                return Ok(format!(
                    "@{} — {}, {}, id {}\nThe token was shown when it was created; POST /_sandbox/agent gives a new one",
                    account.username,
                    account.role(),
                    if account.agent.as_ref().is_some_and(|agent| agent.verified) {
                        "verified"
                    } else {
                        "not verified"
                    },
                    account.id,
                ));
            }
            "customize" => return customize(data.accounts.owned_agent(&id, caller)?, agency, &rest),
            "add" => {
                let room = data.agencies.find_mut(agency)?;
                room.require_member(caller)?;
                room.admit(&id)?
            }
            _ => return Err(ApiError::bad_request(USAGE)),
        }
    };
    if new {
        let short = app.data().agencies.find(agency)?.short_json();
        emit::emit_to_user(
            app,
            &id,
            "agency-invited",
            &serde_json::json!({ "agencyId": agency, "agency": short }),
        );
        notify::joined(app, agency, &id, Some(caller));
    }
    Ok(format!("@{name} is in this agency"))
}

/// Sets `<key> <value>` for every agency, or with `--agency` only for this one (conch's README).
fn customize(account: &mut Account, agency: &str, words: &[&str]) -> ApiResult<String> {
    let here = words.contains(&"--agency");
    let words: Vec<&str> = words.iter().copied().filter(|word| *word != "--agency").collect();
    let [key, value @ ..] = words.as_slice() else {
        return Err(ApiError::bad_request("Usage: /agent customize <name> <key> <value> [--agency]"));
    };
    let value = value.join(" ");
    let Some(agent) = &mut account.agent else { return Err(ApiError::not_found("Agent not found")) };
    let config =
        if here { agent.agency_config.entry(agency.to_owned()).or_default() } else { &mut agent.config };
    if value.is_empty() {
        config.remove(*key);
        return Ok(format!("{key} is no longer set"));
    }
    // Parse numbers and booleans; everything else is text.
    let value = match serde_json::from_str(&value) {
        Ok(plain @ (Value::Number(_) | Value::Bool(_))) => plain,
        _ => Value::String(value),
    };
    config.insert((*key).to_owned(), value);
    Ok(format!("{key} is set{}", if here { " for this agency" } else { "" }))
}

fn make_agency(app: &App, caller: &str, args: &str) -> ApiResult<String> {
    let name = args.strip_prefix("create").map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::bad_request("Usage: /agency create <name>"))?;
    let mut data = app.data();
    if data.accounts.get(caller)?.agent.is_some() {
        return Err(ApiError::forbidden("Agents cannot do this"));
    }
    let made = data.agencies.add(Agency {
        name: name.trim_matches('"').to_owned(),
        owner: Some(caller.to_owned()),
        ..Agency::default()
    });
    made.add_member(caller, "owner");
    Ok(format!("Created {} — {}", made.name, made.slug))
}

fn custom(app: &App, agency: &str) -> String {
    let data = app.data();
    let own = data.commands.0.iter().filter(|command| command.agency == agency);
    let lines: Vec<String> = own
        .map(|command| format!("/{} — {}", command.name, command.description.as_deref().unwrap_or("")))
        .collect();
    if lines.is_empty() { "This agency has no custom commands".to_owned() } else { lines.join("\n") }
}

fn balance(app: &App, caller: &str) -> ApiResult<String> {
    let data = app.data();
    match &data.accounts.get(caller)?.wallet {
        Some(address) => Ok(format!("{address}: 0.00 USDC, 0.0 ETH (there is no chain in the sandbox)")),
        None => Err(ApiError::bad_request("You have no wallet: POST /api/wallet/register")),
    }
}
