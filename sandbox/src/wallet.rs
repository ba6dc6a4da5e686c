//! Wallets: a public address per account. There is no chain here, so a reported payment is taken as it is.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::body::Body;
use crate::chat;
use crate::error::{ApiError, ApiResult};
use crate::state::App;

const NETWORK: &str = "base-sepolia";
const EXPLORER: &str = "https://sepolia.basescan.org";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/wallet", get(info))
        .route("/api/wallet/register", post(register).delete(unregister))
        .route("/api/wallet/payment", post(payment))
        .route("/api/explore/wallet/{username}", get(lookup))
        .route("/api/explore/capabilities", get(capabilities))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.strip_prefix("0x")
        .is_some_and(|hex| hex.len() == digits && hex.chars().all(|c| c.is_ascii_hexdigit()))
}

async fn info(State(app): State<App>, caller: Caller) -> ApiResult<Json<Value>> {
    let data = app.data();
    Ok(Json(match &data.accounts.get(&caller.id)?.wallet {
        None => json!({ "hasWallet": false }),
        Some(address) => json!({
            "hasWallet": true,
            "address": address,
            "network": NETWORK,
            "balances": { "usdc": "0.00", "eth": "0.0" },
            "explorer": format!("{EXPLORER}/address/{address}"),
        }),
    }))
}

async fn register(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let address = body.required("address")?;
    if !is_hex(address, 40) {
        return Err(ApiError::bad_request("address must be 0x and 40 hex digits"));
    }
    app.data().accounts.get_mut(&caller.id)?.wallet = Some(address.to_owned());
    let explorer = format!("{EXPLORER}/address/{address}");
    Ok(Json(json!({ "address": address, "network": NETWORK, "explorer": explorer })))
}

async fn unregister(State(app): State<App>, caller: Caller) -> ApiResult<Json<Value>> {
    app.data().accounts.get_mut(&caller.id)?.wallet = None;
    Ok(Json(json!({ "ok": true })))
}

async fn payment(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let [hash, agency, to, amount] = ["txHash", "agencyId", "to", "amount"].map(|key| body.required(key));
    let (hash, agency, to, amount) = (hash?, agency?, to?, amount?);
    if !is_hex(hash, 64) {
        return Err(ApiError::bad_request("txHash must be 0x and 64 hex digits"));
    }
    let agency = {
        let data = app.data();
        let agency = data.agencies.find(agency)?;
        agency.require_member(&caller.id)?;
        agency.id.clone()
    };
    let token = body.text(&["token"]).unwrap_or("USDC");
    let explorer = format!("{EXPLORER}/tx/{hash}");
    let metadata = json!({ "payment": { "txHash": hash, "to": to, "amount": amount, "token": token } });
    let said = format!("Sent {amount} {token} to {to}");
    let id = chat::post(&app, &agency, &caller.id, "action", &said, metadata).map_err(ApiError::not_found)?;
    Ok(Json(json!({ "messageId": id, "txHash": hash, "verified": false, "explorerUrl": explorer })))
}

async fn lookup(State(app): State<App>, Path(username): Path<String>) -> ApiResult<Json<Value>> {
    let data = app.data();
    let account = data.accounts.find(&username).ok_or_else(|| ApiError::not_found("User not found"))?;
    Ok(Json(json!({ "username": account.username, "address": account.wallet })))
}

async fn capabilities() -> Json<Value> {
    Json(json!({
        "wallets": true,
        "network": NETWORK,
        "token": "USDC",
        "x402": false,
        "hookTransparency": true,
    }))
}
