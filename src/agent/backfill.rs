//! What a room's history says about a gap.

use std::time::Duration;

use crate::agent::track::Since;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{AgencyId, List, Message, MessageId, Timestamp};
use crate::rest::{Client, Messages, Walk};
use crate::socket::Session;

pub(crate) const PAGE: u32 = 100;
/// Beyond this a gap is not filled: it would take all day, and all memory.
const MOST: usize = 10_000;

/// The newest message of a room, to know later what came after it.
///
/// # Errors
/// What the server says.
pub(crate) fn newest(client: &Client, room: &AgencyId, dm: &mut bool) -> Result<Option<Message>> {
    Ok(page(client, room, dm, None, 1)?.into_iter().next())
}

/// One of the last messages of a room, by its id.
///
/// # Errors
/// What the server says.
#[inline]
pub(crate) fn recent(
    client: &Client,
    room: &AgencyId,
    dm: &mut bool,
    id: &MessageId,
) -> Result<Option<Message>> {
    Ok(page(client, room, dm, None, PAGE)?.into_iter().find(|message| message.id == *id))
}

/// Everything since then, oldest first, with some messages from before it.
///
/// # Errors
/// What the server says, also when there is more than can be fetched.
pub(crate) fn since(client: &Client, room: &AgencyId, dm: &mut bool, since: &Since) -> Result<Vec<Message>> {
    let since = match since {
        Since::Time(time) => Some(time),
        Since::Beginning => None,
        Since::Unknown => {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "the room's history could not be read when it was joined",
            ));
        }
    };
    walk_back(client, room, dm, |message| since.is_some_and(|since| message.created_at < *since))
}

/// How often a history is asked for that does not come, and how long to wait in between at first.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Repeats what fails only for now: a network that has just come back is not at its best. Gives up early when the
/// session's link is lost as well, because then there will be another occasion.
///
/// # Errors
/// The last one.
pub(crate) fn patiently<T>(session: &Session, mut fetch: impl FnMut() -> Result<T>) -> Result<T> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match fetch() {
            Err(error) if is_passing(&error) && session.is_up() => {
                session.pause(error.retry_after().unwrap_or(pause).min(LONGEST_PAUSE));
                pause *= 2;
            }
            other => return other,
        }
    }
    fetch()
}

/// Whether the same may work in a moment.
pub(crate) fn is_passing(error: &Error) -> bool {
    error.is_timeout() || error.is_retryable()
}

/// Walks back through the history until `enough` says so of a message. Oldest first.
pub(crate) fn walk_back(
    client: &Client,
    room: &AgencyId,
    dm: &mut bool,
    enough: impl Fn(&Message) -> bool,
) -> Result<Vec<Message>> {
    let mut walk = Walk::default();
    let mut found = Vec::new();
    loop {
        let page = match page(client, room, dm, walk.before(), PAGE) {
            Err(error) if walk.forgives(&error) => List::default(),
            other => other?,
        };
        let Some(new) = walk.take(page) else { break };
        let reached = new.iter().any(&enough);
        found.extend(new);
        if found.len() > MOST {
            return Err(Error::new(ErrorKind::Server, format!("more than {MOST} messages were missed")));
        }
        if reached {
            break;
        }
    }
    // The server's own order, also within one moment.
    found.reverse();
    Ok(found)
}

/// One page, newest first. Direct conversations have their own place; `dm` learns which it is.
///
/// # Errors
/// What the server says.
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
    // Documented as newest first, which some clients do not rely on.
    if let (Some(first), Some(last)) = (page.first(), page.last())
        && first.created_at < last.created_at
    {
        page.reverse();
    }
    Ok(page)
}
