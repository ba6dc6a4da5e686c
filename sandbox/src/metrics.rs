//! A few of the platform's metrics, as Prometheus text.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(app): State<App>) -> String {
    let connections = app.sockets().len();
    let data = app.data();
    let (agents, users): (Vec<_>, Vec<_>) =
        data.accounts.all().into_iter().partition(|account| account.agent.is_some());
    let rooms = data.agencies.all();
    let unclaimed = agents.iter().filter(|a| a.agent.as_ref().is_some_and(|a| a.owner.is_none())).count();
    let gauges = [
        ("crustocean_users_total", users.len()),
        ("crustocean_agents_total", agents.len()),
        ("crustocean_agents_unclaimed", unclaimed),
        ("crustocean_agencies_total", rooms.iter().filter(|room| !room.dm).count()),
        ("crustocean_messages_total", rooms.iter().map(|room| room.messages.len()).sum()),
        ("crustocean_memberships_total", rooms.iter().map(|room| room.members.len()).sum()),
        ("crustocean_hooks_active", data.hooks.0.iter().filter(|hook| hook.enabled).count()),
        ("socket_connections_current", connections),
    ];
    gauges.iter().map(|(name, value)| format!("# TYPE {name} gauge\n{name} {value}\n")).collect()
}
