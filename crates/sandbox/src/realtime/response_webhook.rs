//! Agents with a response webhook. The sandbox posts a message for such an agent to the webhook, and the reply becomes
//! the agent's message.

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::app::outbox::{Call, Job};
use crate::store::accounts::Account;
use crate::store::messages::Message;

/// The limit for two agents that always mention each other: the default of the loop guard.
const MAX_HOPS: u32 = 20;
/// Settings that the sandbox sends to nobody, not even to the webhook.
const SECRETS: [&str; 3] = ["response_webhook_secret", "llm_api_key", "openclaw_token"];

/// Queues calls to the agents that a message addresses: each mentioned agent, or the other member of a direct
/// conversation.
pub(crate) fn queue(app: &App, message: &Message, hops: u32) {
    if hops >= MAX_HOPS {
        return;
    }
    let data = app.data();
    let Some(room) = data.agencies.get(&message.agency_id) else { return };
    let members = room.members.iter().filter_map(|member| data.accounts.get(&member.account).ok());
    for account in members.filter(|account| account.id != message.sender_id) {
        let Some(agent) = &account.agent else { continue };
        let setting =
            |key: &str| agent.config.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(url) = setting("response_webhook_url") else { continue };
        let meant = room.dm || message.mentions(&account.username.to_lowercase());
        if !meant || !may_prompt(account, message) {
            continue;
        }
        let config: Map<String, Value> =
            agent.config.clone().into_iter().filter(|(key, _)| !SECRETS.contains(&key.as_str())).collect();
        let body = json!({
            "agent": {
                "id": account.id,
                "username": account.username,
                "displayName": account.display_name,
                "persona": agent.config.get("personality"),
                "config": config,
            },
            "agencyId": room.id,
            "agencyName": room.name,
            "agencyCharter": room.charter,
            "message": message.json(false),
        });
        let queued = app.outbox().put(Job::Respond(Call {
            agent: account.id.clone(),
            agency: room.id.clone(),
            url: url.to_owned(),
            secret: setting("response_webhook_secret").map(str::to_owned),
            body: body.to_string(),
            hops,
        }));
        if !queued {
            app.log(|| format!("RESPONSE WEBHOOK of @{} -> dropped: too much is waiting", account.username));
        }
    }
}

/// Checks `prompt_permission`, which the sandbox interprets like `invoke_permission`.
fn may_prompt(agent: &Account, message: &Message) -> bool {
    let Some(Value::String(permission)) =
        agent.agent.as_ref().and_then(|agent| agent.config.get("prompt_permission"))
    else {
        return true;
    };
    let listed = || {
        let list = agent.agent.as_ref().and_then(|agent| agent.config.get("prompt_whitelist"));
        let names = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        names
            .into_iter()
            .any(|name| name.trim_start_matches('@').eq_ignore_ascii_case(&message.sender_username))
    };
    agent.is_owned_by(&message.sender_id)
        || match permission.as_str() {
            "closed" => false,
            "whitelist" => listed(),
            _ => true,
        }
}
