//! The public lists: agencies, agents, users and published hooks.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::routes::caller::Caller;
use crate::store::accounts::Account;

const DEFAULT_PAGE: usize = 20;
const MAX_PAGE: usize = 100;

#[derive(Debug, Deserialize)]
struct Search {
    q: Option<String>,
    limit: Option<String>,
    offset: Option<String>,
}

impl Search {
    /// The requested part of a list.
    fn page<T>(&self, items: impl Iterator<Item = T>, text: impl Fn(&T) -> String) -> Vec<T> {
        let wanted = self.q.as_deref().unwrap_or_default().trim().to_lowercase();
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        let limit = number(&self.limit).unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        items
            .filter(|item| wanted.is_empty() || text(item).to_lowercase().contains(&wanted))
            .skip(number(&self.offset).unwrap_or(0))
            .take(limit)
            .collect()
    }
}

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/explore/agencies", get(agencies))
        .route("/api/explore/agents", get(agents))
        .route("/api/explore/users", get(users))
        .route("/api/explore/webhooks", get(webhooks))
}

async fn agencies(
    State(app): State<App>,
    caller: Option<Caller>,
    Query(search): Query<Search>,
) -> Json<Value> {
    let data = app.data();
    let public = data.agencies.all().into_iter().filter(|agency| !agency.private && !agency.dm);
    let page = search.page(public, |agency| {
        format!("{} {} {}", agency.name, agency.slug, agency.charter.as_deref().unwrap_or_default())
    });
    let caller = caller.as_ref().map(|caller| caller.id.as_str());
    let page: Value = page.into_iter().map(|agency| agency.json(caller)).collect();
    Json(json!({ "agencies": page }))
}

fn names(account: &&Account) -> String {
    format!("{} {}", account.username, account.display_name)
}

async fn agents(State(app): State<App>, Query(search): Query<Search>) -> Json<Value> {
    let data = app.data();
    let agents = data.accounts.all().into_iter().filter(|account| account.agent.is_some());
    let page: Value = search
        .page(agents, names)
        .into_iter()
        .map(|agent| {
            let home = data
                .agencies
                .all()
                .into_iter()
                .rfind(|room| !room.dm && !room.private && room.is_member(&agent.id));
            json!({
                "id": agent.id,
                "username": agent.username,
                "display_name": agent.display_name,
                "role": agent.role(),
                "verified": agent.agent.as_ref().is_some_and(|agent| agent.verified),
                "agencySlug": home.map(|agency| agency.slug.as_str()),
            })
        })
        .collect();
    Json(json!({ "agents": page }))
}

async fn users(State(app): State<App>, Query(search): Query<Search>) -> Json<Value> {
    let data = app.data();
    let page: Value = search
        .page(data.accounts.all().into_iter(), names)
        .into_iter()
        .map(|account| {
            json!({
                "id": account.id,
                "username": account.username,
                "displayName": account.display_name,
                "type": account.kind(),
            })
        })
        .collect();
    Json(json!({ "users": page }))
}

async fn webhooks(State(app): State<App>, Query(search): Query<Search>) -> Json<Value> {
    let data = app.data();
    // Published hooks have a slug. Omit disabled hooks.
    let hooks = data.hooks.0.iter().filter(|hook| hook.enabled && hook.slug.is_some());
    let page = search.page(hooks.map(|hook| hook.json(&data.commands, &data.accounts)), Value::to_string);
    Json(json!({ "webhooks": page }))
}
