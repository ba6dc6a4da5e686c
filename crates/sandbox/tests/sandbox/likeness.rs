//! Undocumented behaviour that existing programs rely on.

use crate::common::{Socket, agent_session, call, get, post, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn rooms_keep_notes() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    let mut run = |line: &str| socket.ask(json!({ "agencyId": lobby, "content": line, "silent": true }));
    assert_eq!(run("/notes")["content"], "Notes (0): ");
    assert_eq!(run("/save repo crustocean/larry")["ok"], true);
    assert_eq!(run("/get REPO")["content"], "crustocean/larry");
    let notes = run("/notes");
    assert_eq!(
        (&notes["command"], &notes["type"], &notes["content"]),
        (&json!("notes"), &json!("system"), &json!("Notes (1): repo"))
    );
    assert_eq!(run("/clearnote repo")["ok"], true);
    assert_eq!(
        (run("/get repo")["ok"].clone(), run("/save repo")["ok"].clone()),
        (json!(false), json!(false))
    );
}

#[test]
fn help_and_who_answer_in_lines() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    sandbox.add_agent("mybot", &alice.id).unwrap();
    let lobby = sandbox.lobby_id();
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    let mut run = |line: &str| {
        text(&socket.ask(json!({ "agencyId": lobby, "content": line, "silent": true }))["content"])
    };
    assert!(run("/help").lines().all(|line| line.starts_with('/') && line.contains(" — ")));
    assert_eq!(run("/who"), "Members (2):\nalice\nmybot [agent]");
    for missing in ["/boot", "/setup"] {
        assert!(run(missing).contains("not in the sandbox"));
    }
}

#[test]
fn agents_are_created_and_customized_by_slash_commands() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lab = sandbox.add_agency("Lab", &alice.id).unwrap();
    let mut socket = Socket::join(&sandbox, &alice.token, &lab);
    let mut run = |line: &str| {
        let ack = socket.ask(json!({ "agencyId": lab, "content": line, "silent": true }));
        assert_eq!(ack["ok"], true, "{line}: {ack}");
        text(&ack["content"])
    };
    let made = run("/agent create conch Reviewer");
    let token = made.split_whitespace().find(|word| word.starts_with("sk_")).unwrap().to_owned();
    run("/agent verify conch");
    run("/agent add conch");
    let session = agent_session(&sandbox, &token);
    run("/agent customize conch github_token ghp_1 --agency");
    run("/agent customize conch max_hops 7");
    assert!(run("/agent details conch").contains("Reviewer"));
    let me = get(&sandbox, "/api/auth/me", &session);
    assert_eq!((&me["displayName"], &me["display_name"]), (&json!("conch"), &json!("conch")));
    let path = format!("/api/agents/{}/config", text(&me["id"]));
    let here = get(&sandbox, &format!("{path}?agencyId={lab}"), &session)["config"].clone();
    assert_eq!((&here["github_token"], &here["max_hops"]), (&json!("ghp_1"), &json!(7)));
    assert_eq!(get(&sandbox, &path, &session)["config"].get("github_token"), None);
    run("/agency create \"My Team\"");
    assert_eq!(get(&sandbox, "/api/agencies/lookup/my-team", &alice.token)["name"], "My Team");
    assert!(run("/custom").contains("no custom commands"));
}

#[test]
fn a_native_hook_answers_that_it_cannot_run() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let lab = sandbox.add_agency("Lab", &alice.id).unwrap();
    let wanted = json!({ "slug": "dice", "code": "function handler() {}", "agency_id": lab, "commands": [{ "name": "throw" }] });
    post(&sandbox, "/api/hooks/deploy", &alice.token, wanted);
    let mut socket = Socket::join(&sandbox, &alice.token, &lab);
    let ack = socket.ask(json!({ "agencyId": lab, "content": "/throw", "silent": true }));
    assert!(ack["ok"] == false && text(&ack["content"]).contains("does not run it"), "{ack}");
}

#[test]
fn a_wrong_current_password_is_not_401() {
    let sandbox = Sandbox::start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    let change = |current: &str| {
        let body = json!({ "currentPassword": current, "newPassword": "another one" });
        call(&sandbox, "POST", "/api/auth/change-password", &alice.token, body).status
    };
    assert_eq!((change("wrong"), change(Sandbox::PASSWORD)), (400, 200));
    assert_eq!(call(&sandbox, "GET", "/api/auth/me", &alice.token, Value::Null).status, 200);
}
