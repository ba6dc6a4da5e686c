//! Contract: Explore, platform commands, runs, and paged lists.

use std::time::Duration;

use crate::common::{Response, ScriptedServer, watchdog};
use crate::rest_support::Api;
use crustocean::{
    AgencyId, Client, ErrorKind, RunId,
    model::{Network, TranscriptStep},
};
use serde_json::{Value, json};

#[test]
fn the_four_lists() {
    let api = Api::new();
    let page = |name: &str| format!("GET /api/explore/{name}?q=a%20%26b&limit=20&offset=40");
    api.sends(&page("agencies"), "", r#"{"agencies":[]}"#, |client| {
        client.explore().matching("a &b").agencies().limit(20).offset(40).send()
    });
    api.sends(&page("agents"), "", "[]", |client| {
        client.explore().matching("a &b").agents().limit(20).offset(40).send()
    });
    api.sends(&page("users"), "", r#"{"users":[]}"#, |client| {
        client.explore().matching("a &b").users().limit(20).offset(40).send()
    });
    api.sends(&page("webhooks"), "", "[]", |client| {
        client.explore().matching("a &b").webhooks().limit(20).offset(40).send()
    });
    api.sends("GET /api/explore/users", "", "[]", |client| client.explore().users().send());

    api.reads(
        &[
            r#"{"agencies":[{"name":"My Team","slug":"my-team","charter":"c","member_count":3,"isMember":true}]}"#,
            r#"[{"name":"My Team","slug":"my-team","charter":"c","memberCount":"3","is_member":true}]"#,
        ],
        |client| client.explore().agencies().send(),
        |list| {
            assert_eq!((list[0].slug.as_str(), list[0].name.as_str()), ("my-team", "My Team"));
            assert_eq!((list[0].member_count, list[0].is_member), (Some(3), Some(true)));
        },
    );
    api.reads(
        &[
            r#"{"agents":[{"username":"mybot","name":"My Bot","role":"r","verified":true,"agencySlug":"lobby"}]}"#,
            r#"[{"username":"mybot","display_name":"My Bot","role":"r","is_verified":true,"agency_slug":"lobby"}]"#,
        ],
        |client| client.explore().agents().send(),
        |list| {
            assert_eq!((list[0].display_name.as_str(), list[0].verified), ("My Bot", Some(true)));
            assert_eq!(list[0].agency_slug.as_deref(), Some("lobby"));
        },
    );
    api.reads(
        &[
            r#"{"users":[{"username":"bob","displayName":"Bob","type":"user"}]}"#,
            r#"[{"username":"bob","display_name":"Bob","type":"user"}]"#,
        ],
        |client| client.explore().users().send(),
        |list| assert_eq!(list[0].display_name, "Bob"),
    );
    api.reads(
        &[r#"{"webhooks":[{"name":"Dice","slug":"dice","at_name":"dice","creator":"@alice","description":"d",
            "commands":[{"name":"roll","description":"Rolls"}],"source_url":null,"source_hash":"00","verified":true,
            "schema":{"x":1},"hook_id":"h-1","enabled":true}]}"#],
        |client| client.explore().webhooks().send(),
        |list| {
            assert_eq!((list[0].slug.as_deref(), list[0].creator.as_deref()), (Some("dice"), Some("@alice")));
            assert_eq!(list[0].id.as_ref().unwrap(), &"h-1");
            assert_eq!(list[0].commands[0].description.as_deref(), Some("Rolls"));
            assert_eq!(list[0].schema, Some(json!({"x": 1})));
        },
    );
}

#[test]
fn addresses_capabilities_and_commands() {
    let api = Api::new();
    let line = "GET /api/explore/wallet/bob";
    let found =
        api.sends(line, "", r#"{"username":"bob","address":null}"#, |client| client.explore().wallet("@Bob"));
    assert_eq!((found.username.as_str(), found.address), ("bob", None));
    let can = api.sends(
        "GET /api/explore/capabilities",
        "",
        r#"{"wallets":true,"network":"base","token":"USDC","x402":false,"hookTransparency":true}"#,
        |client| client.explore().capabilities(),
    );
    assert!(can.wallets && !can.x402 && can.hook_transparency);
    assert_eq!((can.network, can.token.as_deref()), (Some(Network::Base), Some("USDC")));
    api.reads(&["{}"], |client| client.explore().capabilities(), |can| assert!(!can.wallets));
    api.sends("GET /api/commands", "", "[]", |client| client.explore().commands());
    api.reads(
        &[
            r#"[{"name":"who","description":"Who is here","type":"builtin"}]"#,
            r#"{"commands":[{"command":"who","description":"Who is here","source":"builtin"}]}"#,
        ],
        |client| client.explore().commands(),
        |list| assert_eq!((list[0].name.as_str(), list[0].kind.as_deref()), ("who", Some("builtin"))),
    );
}

#[test]
fn runs() {
    let api = Api::new();
    let agency = AgencyId::from("ag-1");
    api.sends("GET /api/agencies/ag-1/runs?limit=20&offset=5", "", "[]", |client| {
        client.runs().in_agency(&agency).limit(20).offset(5).send()
    });
    api.reads(
        &[
            r#"[{"id":"run-1","agent_username":"mybot","status":"done","started_at":"2026-03-05T10:00:00Z","duration":"1s"}]"#,
            r#"{"runs":[{"runId":"run-1","agent":"mybot","status":"done","startedAt":"2026-03-05T10:00:00Z","duration":"1s"}]}"#,
        ],
        |client| client.runs().in_agency(&agency).send(),
        |runs| {
            assert_eq!((runs[0].id.as_str(), runs[0].agent.as_str()), ("run-1", "mybot"));
            assert_eq!((runs[0].duration.as_deref(), runs[0].started_at.is_some()), (Some("1s"), true));
        },
    );
    let run = api.sends(
        "GET /api/runs/run-1",
        "",
        r#"{"id":"run-1","agent_username":"mybot","status":"done","duration":1200,"summary":"Done.",
            "transcript":[{"type":"start","triggerMessageId":"msg-1","ts":0},{"type":"own","ts":5},
            {"type":"complete","summary":"Done.","ts":912}]}"#,
        |client| client.runs().get(&RunId::from("run-1")),
    );
    assert_eq!((run.info.duration.as_deref(), run.info.summary.as_deref()), (Some("1200"), Some("Done.")));
    assert!(matches!(
        run.transcript[0].step(),
        TranscriptStep::Start { trigger_message_id: Some("msg-1"), .. }
    ));
    assert_eq!((run.transcript[1].kind(), run.transcript[1].step()), ("own", TranscriptStep::Other));
    assert_eq!(run.transcript[2].at(), Some(Duration::from_millis(912)));
    api.reads(
        &[r#"{"run":{"runId":"run-1"}}"#],
        |client| client.runs().get(&"run-1".into()),
        |run| {
            assert!(run.transcript.is_empty() && run.info.agent.is_empty());
        },
    );
}

/// Users `u0` to `u6`, `limit` of them from `offset`, never more than three.
fn seven_users(query: &str) -> Value {
    let number = |name: &str| {
        let found = query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|text| text.parse::<usize>().ok())
    };
    let (limit, offset) = (number("limit").unwrap_or(3).min(3), number("offset").unwrap_or(0));
    (0..7).skip(offset).take(limit).map(|n| json!({"username": format!("u{n}")})).collect()
}

#[test]
fn lists_are_read_to_their_end() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let server = ScriptedServer::start(|_| {});
    server.on_all(|request| Response::json(200, json!({"users": seven_users(&request.query)})));
    let client = Client::builder().api_url(server.url()).anonymous().unwrap();
    let names = |limit: Option<u32>| -> Vec<String> {
        let list = client.explore().users();
        let list = match limit {
            Some(limit) => list.limit(limit),
            None => list,
        };
        list.iter().map(|user| user.unwrap().username).collect()
    };
    let all: Vec<String> = (0..7).map(|n| format!("u{n}")).collect();
    for limit in [None, Some(0), Some(1), Some(2), Some(3), Some(7), Some(100)] {
        assert_eq!(names(limit), all, "{limit:?}");
    }
    // No page is fetched before it is needed.
    let before = server.requests().len();
    assert_eq!(client.explore().users().iter().take(3).count(), 3);
    assert_eq!(server.requests().len(), before + 1);
}

#[test]
fn a_server_that_ignores_offset_does_not_cause_an_endless_list() {
    let api = Api::new();
    api.answers(Response::json(200, json!([{"username": "u0"}, {"username": "u1"}])));
    let client = api.client();
    assert_eq!(client.explore().users().iter().map(Result::unwrap).count(), 2);
}

/// A list of users, newest first, that grows by `added` before each page except the first. It starts with ten users.
fn growing(added: usize) -> (ScriptedServer, Client) {
    let server = ScriptedServer::start(|_| {});
    let fetched = std::sync::atomic::AtomicUsize::new(0);
    server.on_all(move |request| {
        // The growth is limited.
        let grown = added * fetched.fetch_add(1, std::sync::atomic::Ordering::Relaxed).min(40);
        let offset = request.query.split('&').find_map(|part| part.strip_prefix("offset=")?.parse().ok());
        let list = (0..10 + grown).rev().skip(offset.unwrap_or(0)).take(3);
        Response::json(200, list.map(|n| json!({"username": format!("u{n}")})).collect())
    });
    let client = Client::builder().api_url(server.url()).anonymous().unwrap();
    (server, client)
}

#[test]
fn a_growing_list_is_read_to_its_end() {
    let _watchdog = watchdog(Duration::from_secs(180));
    // A page has three users, so the next page repeats the last page exactly.
    for added in [1, 2, 3, 4, 6, 7, 9] {
        let (_server, client) = growing(added);
        let names: Vec<String> = client.explore().users().iter().map(|user| user.unwrap().username).collect();
        for n in 0..10 {
            let name = format!("u{n}");
            let count = names.iter().filter(|other| **other == name).count();
            assert_eq!(count, 1, "{name} of a list that grows by {added}: {names:?}");
        }
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }
}

#[test]
fn alternating_pages_do_not_cause_an_endless_list() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let server = ScriptedServer::start(|_| {});
    let turn = std::sync::atomic::AtomicUsize::new(0);
    server.on_all(move |_| {
        let page = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2;
        Response::json(200, json!([{"username": format!("a{page}")}, {"username": format!("b{page}")}]))
    });
    let client = Client::builder().api_url(server.url()).anonymous().unwrap();
    assert_eq!(client.explore().users().iter().map(Result::unwrap).count(), 4);
    assert!(server.requests().len() < 10);
}

#[test]
fn an_error_ends_the_iteration() {
    let api = Api::new();
    api.answers(Response::text(500, "oops"));
    let client = api.client();
    let mut users = client.explore().users().iter();
    assert_eq!(users.next().unwrap().unwrap_err().kind(), ErrorKind::Server);
    assert!(users.next().is_none() && users.next().is_none());
}

#[test]
fn metrics() {
    let api = Api::new();
    let text = "# TYPE messages_sent_total counter\nmessages_sent_total{sender_type=\"user\"} 3\n";
    api.answers(Response::text(200, text).header("Content-Type", "text/plain; version=0.0.4"));
    assert_eq!(api.client().metrics(None).unwrap(), text);
    api.answers(Response::text(200, vec![0xff]));
    assert_eq!(api.client().metrics(None).unwrap_err().kind(), ErrorKind::Protocol);
    api.answers(Response::text(401, "no m3trics"));
    let error = api.client().metrics(Some(&"m3trics".parse().unwrap())).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unauthorized && !format!("{error:?}").contains("m3trics"),
        "{error:?}"
    );
}

#[test]
fn items_that_cannot_be_told_apart_by_a_key_are_all_listed() {
    let api = Api::new();
    let client = api.client();
    let slugs =
        r#"[{"slug":null,"name":"one","id":"a"},{"slug":null,"name":"two","id":"b"},{"slug":"s","id":"c"}]"#;
    for (json, count) in
        [(slugs, 3), (r#"[{"slug":"","name":"one"},{"slug":"","name":"two"},{"slug":"s"}]"#, 3)]
    {
        api.answers(Response::text(200, json));
        let mut pages = client.explore().agencies().iter();
        assert_eq!(pages.by_ref().map(Result::unwrap).count(), count, "{json}");
        assert_eq!(pages.skipped(), 0);
    }
    let names = r#"[{"name":"Dice","creator":"bob"},{"name":"Dice","creator":"eve"},{"slug":"s"}]"#;
    api.answers(Response::text(200, names));
    assert_eq!(client.explore().webhooks().iter().map(Result::unwrap).count(), 3);
    let users = r#"[{"username":"","displayName":"Bob"},{"username":"","displayName":"Eve"}]"#;
    api.answers(Response::text(200, users));
    assert_eq!(client.explore().users().iter().map(Result::unwrap).count(), 2);
    let agents = r#"[{"username":"","name":"Bob"},{"username":"","name":"Eve"}]"#;
    api.answers(Response::text(200, agents));
    assert_eq!(client.explore().agents().iter().map(Result::unwrap).count(), 2);
    let runs = r#"[{"id":"","agent":"bob"},{"id":"","agent":"eve"}]"#;
    api.answers(Response::text(200, runs));
    assert_eq!(client.runs().in_agency(&"ag-1".into()).iter().map(Result::unwrap).count(), 2);
}
