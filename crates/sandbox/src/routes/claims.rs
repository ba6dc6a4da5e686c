//! Claims an agent that registered itself: looks the agent up, sends a mail, and opens the link in the mail.

use crate::store::claims::{KEPT_MAILS, MAX_PENDING};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::routes::caller::Caller;
use crate::store::claims::{ClaimMail, Link};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/agents/claim/{code}", get(lookup))
        .route("/api/agents/claim", post(claim))
        .route("/api/agents/claim/verify/{token}", get(verify))
}

async fn lookup(State(app): State<App>, Path(code): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let agent = data.accounts.get(&data.claimable(&code)?)?;
    let user = agent.json();
    Ok(Json(json!({
        "username": agent.username,
        "displayName": agent.display_name,
        "persona": user.get("persona"),
        "avatarUrl": user.get("avatar"),
    })))
}

async fn claim(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let code = body.required("claimCode")?;
    let email = body.required("email")?;
    let masked = masked(email).ok_or_else(|| ApiError::bad_request("email is not an address"))?;
    let mut data = app.data();
    caller.user(&data)?;
    let agent = data.claimable(code)?;
    // A repeated request sends a new link and invalidates the old one.
    data.claims.links.retain(|link| link.user != caller.id || link.agent != agent);
    let pending = data.claims.links.iter().filter(|link| link.user == caller.id && data.is_pending(link));
    if pending.count() >= MAX_PENDING {
        return Err(ApiError::bad_request(format!("At most {MAX_PENDING} pending claims per user")));
    }
    let agent_username = data.accounts.get(&agent)?.username.clone();
    let token = ids::hex(&ids::random::<24>());
    let expires_at = clock::now_ms() + app.options().claim_ttl.as_millis() as u64;
    let link = Link { token_hash: ids::sha256(&token), user: caller.id, agent, expires_at };
    data.claims.links.push(link);
    if data.claims.mails.len() == KEPT_MAILS {
        data.claims.mails.remove(0);
    }
    data.claims.mails.push(ClaimMail { email: email.to_owned(), agent_username, token });
    app.metrics().count("claim_emails_total", "status=\"sent\"");
    Ok(Json(json!({ "ok": true, "maskedEmail": masked })))
}

/// Masks `alice@example.com` as `a****@example.com`.
fn masked(email: &str) -> Option<String> {
    let (name, domain) = email.split_once('@').filter(|(_, domain)| !domain.is_empty())?;
    let first = name.chars().next()?;
    Some(format!("{first}{}@{domain}", "*".repeat(name.chars().count() - 1)))
}

/// Handles the link in the mail. The user opens it in a browser, so the response always redirects to the web page.
async fn verify(
    State(app): State<App>,
    Path(token): Path<String>,
) -> (StatusCode, [(axum::http::HeaderName, String); 1]) {
    let outcome = match complete(&app, &token) {
        Ok(username) => format!("claimed={username}"),
        Err(reason) => format!("claim_error={reason}"),
    };
    (StatusCode::FOUND, [(LOCATION, format!("https://crustocean.chat/?{outcome}"))])
}

/// Makes the user who requested the link the agent's owner. Returns the agent's username, or the reason for the
/// failure.
pub(crate) fn complete(app: &App, token: &str) -> Result<String, &'static str> {
    let hash = ids::sha256(token);
    let mut data = app.data();
    let data = &mut *data;
    let link = data.claims.links.iter().find(|link| link.token_hash == hash).ok_or("invalid")?;
    let (user, agent) = (link.user.clone(), link.agent.clone());
    for account in [&user, &agent] {
        data.accounts.get(account).map_err(|_| "invalid")?;
    }
    if data.is_claimed(&agent) {
        return Err("already_claimed");
    }
    if link.expires_at <= clock::now_ms() {
        app.metrics().count("claims_expired_total", "");
        return Err("expired");
    }
    let account = data.accounts.get_mut(&agent).map_err(|_| "invalid")?;
    if let Some(agent) = &mut account.agent {
        agent.owner = Some(user.clone());
    }
    let username = account.username.clone();
    data.agencies.inherit(&agent, &user);
    data.claims.links.retain(|link| link.agent != agent || link.token_hash == hash);
    app.metrics().count("claims_completed_total", "");
    Ok(username)
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn addresses_are_masked() {
        assert_eq!(masked("alice@example.com").as_deref(), Some("a****@example.com"));
        assert_eq!(masked("a@b").as_deref(), Some("a@b"));
        assert_eq!((masked("@b"), masked("a@"), masked("a")), (None, None, None));
    }
}
