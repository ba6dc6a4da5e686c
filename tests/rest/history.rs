//! A room's history is read to its beginning: no message is left out or repeated.

use std::time::Duration;

use crate::common::{Request, Response, ScriptedServer, eventually, watchdog};
use crustocean::{Client, ErrorKind};
use serde_json::{Value, json};

/// How the server interprets `before`.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// Only messages older than that time. Ids are refused.
    Older,
    /// Messages older than that time, or before the message with that id.
    OlderOrId,
    /// Messages that are not newer than that time.
    NotYounger,
    /// The server ignores `before`.
    Ignored,
}

/// A history with these numbers of messages in each second, newest first, at most `page` per response.
fn server(seconds: &[usize], page: usize, before: Before) -> (ScriptedServer, Vec<String>) {
    let all: Vec<(String, String)> = seconds
        .iter()
        .enumerate()
        .flat_map(|(second, count)| (0..*count).map(move |n| (second, n)))
        .map(|(second, n)| (format!("m{second}-{n}"), format!("2026-03-05T10:00:{second:02}.000Z")))
        .rev()
        .collect();
    let ids = all.iter().map(|(id, _)| id.clone()).collect();
    let server = ScriptedServer::start(|_| {});
    server.on("GET", "/api/agencies/ag-1/messages", move |request| answer(&all, page, before, request));
    (server, ids)
}

fn answer(all: &[(String, String)], page: usize, before: Before, request: &Request) -> Response {
    let wanted = request.query.split('&').find_map(|part| part.strip_prefix("before="));
    let wanted = wanted.map(|text| text.replace("%3A", ":"));
    let position = wanted.as_ref().and_then(|wanted| all.iter().position(|(id, _)| id == wanted));
    let found: Vec<&(String, String)> = match (&wanted, position) {
        _ if before == Before::Ignored => all.iter().collect(),
        (None, _) => all.iter().collect(),
        (Some(_), Some(position)) if before == Before::OlderOrId => all[position + 1..].iter().collect(),
        (Some(wanted), _) if !wanted.contains('T') => {
            return Response::json(400, json!({"error": "before must be a time"}));
        }
        (Some(wanted), _) => all
            .iter()
            .filter(|(_, time)| time < wanted || (before == Before::NotYounger && time == wanted))
            .collect(),
    };
    let messages: Vec<Value> = found
        .into_iter()
        .take(page)
        .map(|(id, time)| json!({"id": id, "agency_id": "ag-1", "content": "", "created_at": time}))
        .collect();
    Response::json(200, messages.into())
}

fn walk(server: &ScriptedServer) -> Vec<String> {
    let client = Client::builder().api_url(server.url()).anonymous().unwrap();
    let agency = "ag-1".into();
    client.agencies().messages(&agency).iter().map(|message| message.unwrap().id.to_string()).collect()
}

#[test]
fn messages_with_the_same_time_are_all_read() {
    let _watchdog = watchdog(Duration::from_secs(180));
    for seconds in [&[][..], &[1], &[2], &[3], &[1, 1, 1, 1, 1, 1, 1], &[2, 2, 2, 2], &[1, 2, 1, 2, 2, 1]] {
        for page in [3, 4, 7, 100] {
            for before in [Before::Older, Before::OlderOrId, Before::NotYounger] {
                let (server, ids) = server(seconds, page, before);
                assert_eq!(walk(&server), ids, "{seconds:?}, {page} a page");
            }
        }
    }
}

#[test]
fn more_messages_with_one_time_than_a_page_are_read_by_id() {
    let _watchdog = watchdog(Duration::from_secs(180));
    for seconds in [&[3][..], &[9], &[1, 9, 1], &[4, 5, 6]] {
        for page in [1, 2, 3] {
            let (server, ids) = server(seconds, page, Before::OlderOrId);
            assert_eq!(walk(&server), ids, "{seconds:?}, {page} a page");
        }
    }
    // Without ids the rest of such a second cannot be requested, but the messages before it can.
    let (server, _) = server(&[2, 9, 1], 3, Before::Older);
    let walked = walk(&server);
    assert_eq!(walked.first().map(String::as_str), Some("m2-0"));
    assert_eq!(&walked[walked.len() - 2..], ["m0-1", "m0-0"]);
}

/// The first page is short, and its messages have one time. The next page contains them again, and a message without a
/// time, so times do not tell what is older.
#[test]
fn a_longer_page_with_an_odd_time_hides_nothing() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let all: Vec<Value> = (0..10)
        .map(|n| {
            let second = if n < 3 { 50 } else { 50 - n };
            let time = match n {
                5 => json!(1_700_000_000_000_u64),
                _ => json!(format!("2026-03-05T10:00:{second:02}.000Z")),
            };
            json!({"id": format!("m{n}"), "agency_id": "ag-1", "content": "", "created_at": time})
        })
        .collect();
    let server = ScriptedServer::start(|_| {});
    server.on("GET", "/api/agencies/ag-1/messages", move |request| {
        let before = request.query.split('&').find_map(|part| part.strip_prefix("before="));
        let position = before.and_then(|before| all.iter().position(|message| message["id"] == before));
        let page = match (before, position) {
            (None, _) => &all[..3],
            (Some(_), Some(position)) => &all[position + 1..],
            // The time after the first three.
            (Some(_), None) => &all[..],
        };
        Response::json(200, page.to_vec().into())
    });
    let expected: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    assert_eq!(walk(&server), expected);
}

#[test]
fn a_server_that_ignores_before_does_not_cause_an_endless_history() {
    let _watchdog = watchdog(Duration::from_secs(180));
    for page in [1, 3, 100] {
        let (server, ids) = server(&[1, 1, 1, 1], page, Before::Ignored);
        assert_eq!(walk(&server), ids[..page.min(4)]);
        assert!(server.requests().len() <= 4, "{}", server.requests().len());
    }
}

#[test]
fn the_end_of_a_history_takes_one_request() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let (server, _) = server(&[1; 10], 4, Before::Older);
    assert_eq!(walk(&server).len(), 10);
    // Ten messages in pages of four, each with the last message of the page before: 4, 3, 3, 0 new ones.
    assert_eq!(server.requests().len(), 4);
}

/// A client of a server with pages of ten, where `second` answers for the second page.
fn two_pages(second: impl Fn() -> Response + Send + Sync + 'static) -> (ScriptedServer, Client) {
    let (server, _) = server(&[1; 20], 10, Before::Older);
    let all: Vec<Value> = (0..10)
        .map(|n| json!({"id": format!("m{n}"), "agency_id": "ag-1", "content": "", "created_at": format!("2026-03-05T10:00:{:02}.000Z", 30 - n)}))
        .collect();
    server.on("GET", "/api/agencies/ag-1/messages", move |request| {
        if request.query.contains("before=") { second() } else { Response::json(200, all.clone().into()) }
    });
    let client = Client::builder().api_url(server.url()).anonymous().unwrap();
    (server, client)
}

#[test]
fn the_next_page_is_fetched_while_the_caller_works_on_this_one() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let (server, client) = two_pages(|| Response::json(500, json!({"error": "no"})));
    let agency = "ag-1".into();
    let mut history = client.agencies().messages(&agency).iter();
    let first: Vec<_> = history.by_ref().take(5).map(|message| message.unwrap().id.to_string()).collect();
    assert_eq!(first, ["m0", "m1", "m2", "m3", "m4"]);
    assert_eq!(server.requests().len(), 1, "who needs little asks for little");
    assert_eq!(history.next().unwrap().unwrap().id, "m5");
    eventually("the next page is asked for", || server.requests().len() > 1);
    // The error of the second page is returned when the caller needs that page.
    let rest: Vec<_> = history.by_ref().take(4).map(|message| message.unwrap().id.to_string()).collect();
    assert_eq!(rest, ["m6", "m7", "m8", "m9"]);
    assert_eq!(history.next().unwrap().unwrap_err().status(), Some(500));
    assert!(history.next().is_none());
}

#[test]
fn dropping_the_iterator_ends_its_request() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (server, client) = two_pages(move || {
        let _ = released.lock().unwrap().recv();
        Response::json(200, json!([]))
    });
    let agency = "ag-1".into();
    let mut history = client.agencies().messages(&agency).iter();
    assert_eq!(history.by_ref().take(6).count(), 6);
    eventually("the next page is asked for", || server.requests().len() > 1);
    // The server answers the request only after this.
    drop(history);
    drop(release);
    assert_eq!(client.agencies().messages(&agency).send().unwrap().len(), 10, "the client goes on");
}

/// The history of a room with a second between two messages, newest first. A number in `odd` stands for a message without
/// an id. The server accepts ids, and sends at most `most` messages at once.
fn with_odd_messages(count: usize, odd: std::ops::Range<usize>, most: usize) -> ScriptedServer {
    let message = |n: usize| {
        let time = format!("2026-03-05T10:{:02}:{:02}.000Z", 59 - n / 60, 59 - n % 60);
        let id = if odd.contains(&n) { json!({}) } else { json!(format!("m{n}")) };
        json!({"id": id, "agency_id": "ag-1", "content": "", "created_at": time})
    };
    let all: Vec<Value> = (0..count).map(message).collect();
    let server = ScriptedServer::start(|_| {});
    server.on("GET", "/api/agencies/ag-1/messages", move |request| {
        let query = |name: &str| request.query.split('&').find_map(|part| part.strip_prefix(name));
        let before = query("before=").map(|text| text.replace("%3A", ":"));
        let limit = query("limit=").map_or(50, |limit| limit.parse().unwrap()).min(most);
        let position = before.as_ref().and_then(|before| all.iter().position(|it| it["id"] == **before));
        let is_older = |it: &&Value| match (&before, position) {
            (Some(before), None) => it["created_at"].as_str().unwrap() < before.as_str(),
            _ => true,
        };
        let start = position.map_or(0, |position| position + 1);
        Response::json(200, all[start..].iter().filter(is_older).take(limit).cloned().collect())
    });
    server
}

/// How many messages the history yields, its errors, how many it skips, and the number of requests.
fn read(server: &ScriptedServer, limit: Option<u32>) -> (usize, Vec<ErrorKind>, usize, usize) {
    let client = Client::builder().api_url(server.url()).anonymous().unwrap();
    let agency = "ag-1".into();
    let messages = client.agencies().messages(&agency);
    let before = server.requests().len();
    let mut history = limit.map_or(messages.clone(), |limit| messages.limit(limit)).iter();
    let (mut count, mut errors) = (0, Vec::new());
    for message in history.by_ref() {
        match message {
            Ok(_) => count += 1,
            Err(error) => errors.push(error.kind()),
        }
    }
    (count, errors, history.skipped(), server.requests().len() - before)
}

#[test]
fn a_page_that_cannot_be_read_hides_no_older_messages() {
    let _watchdog = watchdog(Duration::from_secs(180));
    for (odd, limit) in [(3..4, 1), (0..1, 1), (3..8, 2), (0..12, 12), (5..80, 20)] {
        let server = with_odd_messages(150, odd.clone(), 100);
        let (count, errors, skipped, _) = read(&server, Some(limit));
        assert_eq!((count, errors), (150 - odd.len(), Vec::new()), "{odd:?}, {limit} a page");
        assert!(skipped >= odd.len(), "{skipped} of {odd:?}");
    }
}

#[test]
fn a_history_that_is_cut_off_says_so() {
    let _watchdog = watchdog(Duration::from_secs(180));
    for odd in [0..100, 30..130] {
        for limit in [None, Some(1), Some(30), Some(100)] {
            let server = with_odd_messages(150, odd.clone(), 100);
            let (count, errors, skipped, _) = read(&server, limit);
            // With a limit that leaves a readable message on each page, everything is read.
            if errors.is_empty() {
                assert_eq!(count, 50, "{odd:?}, {limit:?}");
            } else {
                assert_eq!((count, errors), (odd.start, vec![ErrorKind::Protocol]), "{odd:?}, {limit:?}");
            }
            assert!(skipped >= 100, "{skipped}");
        }
    }
    // No page follows the last messages of a history, so the iterator needs no readable message there.
    for (count, odd, limit) in [(1, 0..1, None), (60, 52..60, Some(50)), (60, 59..60, Some(1))] {
        let server = with_odd_messages(count, odd.clone(), 100);
        let (count, errors, ..) = read(&server, limit);
        assert_eq!((count, errors), (odd.start, Vec::new()), "{odd:?}, {limit:?}");
    }
}

#[test]
fn a_server_with_small_pages_has_a_whole_history() {
    let _watchdog = watchdog(Duration::from_secs(180));
    for most in [10, 20, 49] {
        let server = with_odd_messages(120, 0..0, most);
        for limit in [None, Some(5), Some(30), Some(100)] {
            assert_eq!(read(&server, limit).0, 120, "{limit:?} of {most}");
        }
    }
}

#[test]
fn a_short_history_takes_one_request() {
    let _watchdog = watchdog(Duration::from_secs(180));
    for count in [0, 1, 9] {
        let server = with_odd_messages(count, 0..0, 100);
        assert_eq!(read(&server, Some(100)), (count, Vec::new(), 0, 1));
    }
    // The server may make pages that are this small.
    let server = with_odd_messages(20, 0..0, 100);
    assert_eq!(read(&server, Some(100)), (20, Vec::new(), 0, 2));
    // An earlier page was longer.
    let server = with_odd_messages(120, 0..0, 100);
    assert_eq!(read(&server, Some(100)), (120, Vec::new(), 0, 2));
}
