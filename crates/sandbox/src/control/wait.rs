//! Waits for an event of a client, or for a message.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::app::wire::mask;
use crate::control::fault::time;
use crate::control::fields::Fields;
use crate::control::inspect::find;
use crate::error::{ApiError, ApiResult};

const DEFAULT_LIMIT: Duration = Duration::from_secs(5);
const MAX_LIMIT: Duration = Duration::from_secs(300);
const GLANCE: Duration = Duration::from_millis(10);

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/_sandbox/wait", get(wait))
}

/// With `event`: waits for the first event with this name that no earlier call has returned. With `room`, `from`,
/// `contains`: waits for the first matching message after the number `after`, which defaults to the newest message.
async fn wait(State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let within = fields.text("within").map(|text| time(&text)).transpose().map_err(ApiError::bad_request)?;
    let within = within.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let deadline = Instant::now() + within;
    let event = fields.text("event");
    let wanted = if event.is_none() { Some(Wanted::read(&app, &fields)?) } else { None };
    loop {
        let found = match (&event, &wanted) {
            (Some(event), _) => app.recorder().next(event, Duration::ZERO).map(|mut payload| {
                mask(&mut payload);
                json!({ "event": event, "payload": payload })
            }),
            (_, Some(wanted)) => wanted.find(&app)?,
            _ => None,
        };
        if let Some(found) = found {
            return Ok(Json(found));
        }
        if Instant::now() >= deadline {
            let what = event.unwrap_or_else(|| "such message".to_owned());
            return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, format!("No {what} within {within:?}")));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

struct Wanted {
    room: String,
    from: Option<String>,
    contains: Option<String>,
    after: u64,
}

impl Wanted {
    fn read(app: &App, fields: &Fields) -> ApiResult<Wanted> {
        let data = app.data();
        let room = find(&data, fields.text("room").as_deref())?;
        let after = fields.text("after").map(|after| after.parse());
        let after =
            after.transpose().map_err(|_| ApiError::bad_request("after is the number of a message"))?;
        Ok(Wanted {
            room: room.id.clone(),
            from: fields.text("from"),
            contains: fields.text("contains"),
            after: after.unwrap_or_else(|| room.messages.count()),
        })
    }

    fn find(&self, app: &App) -> ApiResult<Option<Value>> {
        let data = app.data();
        let mut new = data.agencies.find(&self.room)?.messages.iter();
        let found = new.find(|message| {
            message.number > self.after
                && self.from.as_ref().is_none_or(|from| *from == message.sender_username)
                && self.contains.as_ref().is_none_or(|words| message.content.contains(words))
        });
        Ok(found.map(|message| {
            let mut json = message.json(false);
            if let Some(json) = json.as_object_mut() {
                json.insert("number".to_owned(), message.number.into());
            }
            json
        }))
    }
}
