//! Reads pages of a room's history.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, List, Message, MessageId, Timestamp};
use crate::rest::{Client, MIN_PAGE, Messages, Walk};

pub(crate) const PAGE: u32 = 100;
/// The largest number of missed messages that the crate reads. A larger gap would take too much time and memory.
pub(super) const MAX_MESSAGES: usize = 10_000;

/// The last page of a room's history, newest first.
pub(super) struct FirstPage {
    pub(super) messages: List<Message>,
    /// Whether the page is certainly the whole history.
    pub(super) is_whole: bool,
}

/// The server's default page size.
pub(super) const FIRST_PAGE: u32 = 50;

/// # Errors
/// The error of the request.
pub(super) fn first_page(client: &Client, room: &AgencyId, dm: &mut bool) -> Result<FirstPage> {
    let mut limit = FIRST_PAGE;
    let messages = smaller_page(client, room, dm, None, &mut limit)?;
    let count = messages.len() + messages.skipped();
    // A page of `MIN_PAGE` messages or more may be cut at the server's own page limit.
    Ok(FirstPage { is_whole: count < MIN_PAGE.min(limit as usize), messages })
}

/// Reads a page of at most `limit` messages. If the response is too large or cannot be decoded, requests a smaller
/// page and reduces `limit`.
///
/// # Errors
/// The error of the request.
pub(super) fn smaller_page(
    client: &Client,
    room: &AgencyId,
    dm: &mut bool,
    before: Option<&Timestamp>,
    limit: &mut u32,
) -> Result<List<Message>> {
    loop {
        match page(client, room, dm, before, *limit) {
            Err(error) if error.kind() == ErrorKind::Protocol && *limit > 1 => *limit = (*limit / 4).max(1),
            other => return other,
        }
    }
}

/// Returns the message with this id, if it is one of the last 100 messages of the room.
///
/// # Errors
/// The error of the request.
pub(crate) fn recent(
    client: &Client,
    room: &AgencyId,
    dm: &mut bool,
    id: &MessageId,
) -> Result<Option<Message>> {
    Ok(page(client, room, dm, None, PAGE)?.into_iter().find(|message| message.id == *id))
}

/// The number of attempts for a request, and the first pause between two attempts.
const TRIES: u32 = 6;
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Retries temporary failures, because a network that has just come back may still be unstable. `wait` waits for the next
/// attempt, or ends the attempts with an error.
///
/// # Errors
/// The error of the last attempt, or of `wait`.
pub(crate) fn with_retries<T>(
    mut fetch: impl FnMut() -> Result<T>,
    wait: impl Fn(Duration, Error) -> Result<()>,
) -> Result<T> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match fetch() {
            Err(error) if is_temporary(&error) => {
                wait(error.retry_after().unwrap_or(pause).min(MAX_PAUSE), error)?;
                pause *= 2;
            }
            other => return other,
        }
    }
    fetch()
}

/// Whether the error is temporary, so that a retry may work soon.
pub(crate) fn is_temporary(error: &Error) -> bool {
    error.is_timeout() || error.is_retryable()
}

/// Reads the history backwards until `enough` is true for a message. Returns the messages oldest first.
pub(crate) fn walk_back(
    client: &Client,
    room: &AgencyId,
    dm: &mut bool,
    enough: impl Fn(&Message) -> bool,
) -> Result<Vec<Message>> {
    let mut walk = Walk::default();
    let mut found = Vec::new();
    loop {
        let page = walk.empty_if_id_refused(page(client, room, dm, walk.before(), PAGE))?;
        let Some(new) = walk.take(page) else {
            if walk.is_cut_off() {
                return Err(Error::protocol("no message on a page of the room's history can be decoded"));
            }
            break;
        };
        let reached = new.iter().any(&enough);
        found.extend(new);
        if found.len() > MAX_MESSAGES {
            return Err(Error::new(
                ErrorKind::Server,
                format!("more than {MAX_MESSAGES} messages were missed"),
            ));
        }
        if reached {
            break;
        }
    }
    // Keeps the server's order for messages with the same time.
    found.reverse();
    Ok(found)
}

/// Reads a page, newest first. Direct conversations have another endpoint. If the endpoint for `dm` fails with 403 or
/// 404, tries the other endpoint and corrects `dm`.
///
/// # Errors
/// The error of the request.
pub(crate) fn page(
    client: &Client,
    room: &AgencyId,
    dm: &mut bool,
    before: Option<&Timestamp>,
    limit: u32,
) -> Result<List<Message>> {
    let fetch = |dm: bool| {
        let query: Messages<'_> =
            if dm { client.dms().messages(room) } else { client.agencies().messages(room) };
        let query = query.limit(limit);
        match before {
            Some(before) => query.before(before).send(),
            None => query.send(),
        }
    };
    let mut page = match fetch(*dm) {
        Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
            let elsewhere = fetch(!*dm).map_err(|_| error)?;
            *dm = !*dm;
            elsewhere
        }
        other => other?,
    };
    // The documentation says that pages are newest first, but some clients do not rely on this order.
    if is_oldest_first(&page) {
        page.reverse();
    }
    Ok(page)
}

/// Whether the times on the page increase and never decrease. Mostly increasing times prove nothing: with several
/// clocks, a page that is newest first can also have such times. Texts that are not times prove nothing either. If a
/// page were reversed by mistake, the walk would miss messages.
fn is_oldest_first(page: &[Message]) -> bool {
    let times: Vec<_> = page.iter().filter_map(|message| message.created_at.to_system_time()).collect();
    times.is_sorted() && times.first() < times.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(seconds: &[u32]) -> Vec<Message> {
        let message = |second: &u32| {
            let json = serde_json::json!({
                "id": format!("m{second}"), "agency_id": "a", "content": "",
                "created_at": format!("2026-03-05T10:00:{second:02}.000Z"),
            });
            serde_json::from_value(json).unwrap()
        };
        seconds.iter().map(message).collect()
    }

    #[test]
    fn only_a_page_that_goes_up_all_the_way_is_oldest_first() {
        assert!(is_oldest_first(&page(&[1, 2, 2, 3])));
        for newest_first in [&[3, 2, 1][..], &[2, 2], &[1], &[], &[10, 11, 12, 9, 20, 21]] {
            assert!(!is_oldest_first(&page(newest_first)), "{newest_first:?}");
        }
    }

    #[test]
    fn a_text_that_is_no_time_tells_nothing_about_the_order() {
        let mut page = page(&[2, 2, 1]);
        page[2].created_at = "soon".into();
        assert!(!is_oldest_first(&page));
    }
}
