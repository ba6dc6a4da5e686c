//! Wallets: a public address per account. The sandbox has no chain, so it accepts reported payments unchecked.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::realtime::post;
use crate::routes::caller::Caller;
use crate::store::accounts::Account;

const PER_PAYMENT: &str = "wallet_spend_limit_per_tx";
const PER_DAY: &str = "wallet_spend_limit_daily";
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
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
    let account = data.accounts.get(&caller.id)?;
    let mut info = match &account.wallet {
        None => json!({ "hasWallet": false }),
        Some(address) => json!({
            "hasWallet": true,
            "address": address,
            "network": NETWORK,
            "balances": { "usdc": "0.00", "eth": "0.0" },
            "explorer": format!("{EXPLORER}/address/{address}"),
        }),
    };
    if let (Some(_), Some(info)) = (&account.agent, info.as_object_mut()) {
        let setting = |key: &str, default: Value| account.setting(key).cloned().unwrap_or(default);
        let config = json!({
            PER_PAYMENT: setting(PER_PAYMENT, 10.into()),
            PER_DAY: setting(PER_DAY, 50.into()),
            "wallet_approval_mode": setting("wallet_approval_mode", "auto".into()),
            "wallet_allowlisted_hooks": setting("wallet_allowlisted_hooks", json!([])),
        });
        info.insert("spendingConfig".to_owned(), config);
    }
    Ok(Json(info))
}

/// Parses an amount in millionths of a USDC: a number, or a decimal string with at most 6 decimals.
pub(crate) fn units(amount: &Value) -> Option<u64> {
    let text = match amount {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(format!("{part:0<6}").parse().ok()?)
}

/// Counts a payment of an agent, or refuses it. The transfer itself has already been made.
fn spend(account: &mut Account, amount: u64) -> ApiResult<()> {
    if account.agent.is_none() {
        return Ok(());
    }
    let limit = |key: &str, default: u64| account.setting(key).and_then(units).unwrap_or(default * 1_000_000);
    let (per_payment, per_day) = (limit(PER_PAYMENT, 10), limit(PER_DAY, 50));
    if amount > per_payment {
        return Err(ApiError::forbidden("Exceeds the agent's limit per transaction"));
    }
    let now = clock::now_ms();
    account.spent.retain(|(at, _)| now.saturating_sub(*at) < DAY_MS);
    let today: u64 = account.spent.iter().map(|(_, amount)| *amount).sum();
    if today.saturating_add(amount) > per_day {
        return Err(ApiError::forbidden("Exceeds the agent's daily limit"));
    }
    account.spent.push((now, amount));
    Ok(())
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
    let units =
        units(&amount.into()).ok_or_else(|| ApiError::bad_request("amount must be a decimal string"))?;
    if !to.starts_with('@') && !is_hex(to, 40) {
        return Err(ApiError::bad_request("to must be an @username or an address"));
    }
    let agency = {
        let mut data = app.data();
        let agency = data.agencies.find(agency)?;
        agency.require_member(&caller.id)?;
        let agency = agency.id.clone();
        spend(data.accounts.get_mut(&caller.id)?, units)?;
        agency
    };
    let token = body.text(&["token"]).unwrap_or("USDC");
    let explorer = format!("{EXPLORER}/tx/{hash}");
    let metadata = json!({ "payment": { "txHash": hash, "to": to, "amount": amount, "token": token } });
    let said = format!("Sent {amount} {token} to {to}");
    let id = post::post(&app, &agency, &caller.id, "action", &said, metadata).map_err(ApiError::not_found)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_counted_in_millionths() {
        assert_eq!(units(&json!("1.5")), Some(1_500_000));
        assert_eq!((units(&json!(10)), units(&json!(0.25))), (Some(10_000_000), Some(250_000)));
        for bad in [json!("-1"), json!("1."), json!(".5"), json!("1.2345678"), json!("a"), json!(null)] {
            assert_eq!(units(&bad), None, "{bad}");
        }
    }
}
