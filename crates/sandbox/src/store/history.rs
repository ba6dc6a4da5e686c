//! A page of a room's history.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::store::agencies::Agency;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 100;

/// The query of a history request. Numbers are text here, because the sandbox ignores an invalid limit.
#[derive(Debug, Deserialize)]
pub(crate) struct HistoryQuery {
    pub(crate) limit: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) mentions: Option<String>,
}

/// A page of a room's history, newest first. `altered`: the JSON in place of some messages, by message id.
pub(crate) fn history(
    agency: &Agency,
    query: &HistoryQuery,
    altered: &HashMap<String, Box<RawValue>>,
) -> ApiResult<Vec<Box<RawValue>>> {
    let limit = query.limit.as_deref().and_then(|text| text.trim().parse().ok());
    let limit = limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let before = query.before.as_deref().filter(|text| !text.is_empty());
    // `before` is a time, as documented, or a message id, as the CLI sends it.
    let cursor = before.and_then(|id| agency.messages.iter().position(|message| message.id == id));
    let is_time = before.is_some_and(|text| text.contains(':') && text.contains('T'));
    if before.is_some() && cursor.is_none() && !is_time {
        return Err(ApiError::bad_request("before must be a time or the id of a message"));
    }
    let handle = query.mentions.as_deref().map(|name| name.trim().trim_start_matches('@').to_lowercase());
    let page = agency
        .messages
        .iter()
        .enumerate()
        .rev()
        .filter(|(place, message)| match (cursor, before) {
            (Some(cursor), _) => *place < cursor,
            // ISO times of one format can be compared as text.
            (None, Some(time)) => clock::iso(message.created_at).as_str() < time,
            (None, None) => true,
        })
        .filter(|(_, message)| handle.as_deref().is_none_or(|handle| message.mentions(handle)))
        .take(limit)
        .map(|(_, message)| match altered.get(&message.id) {
            Some(shown) => Ok(shown.clone()),
            None => to_raw_value(&message.json(true)),
        });
    let page: serde_json::Result<_> = page.collect();
    page.map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
