//! A sandbox with a data folder: restarts, and logs damaged by a kill or by hand.

use std::fs;
use std::path::PathBuf;

use crate::common::{Socket, agent_session, call, get, post, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

/// A folder that is deleted at the end of the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("crustocean-sandbox-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("sandbox.jsonl")
    }

    fn start(&self) -> Sandbox {
        Sandbox::builder().data(&self.0).start().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn all_data_survives_a_restart() {
    let folder = Folder::new("restart");
    let sandbox = folder.start();
    let alice = sandbox.add_user("alice").unwrap();
    let bot = sandbox.add_agent("mybot", &alice.id).unwrap();
    let lab = sandbox.add_agency("Lab", &alice.id).unwrap();
    sandbox.set_role(&lab, &alice.id, "owner").unwrap();
    let lobby = sandbox.lobby_id();
    let session = agent_session(&sandbox, &bot.token);
    let path = format!("/api/custom-commands/{lab}/commands");
    post(&sandbox, &path, &alice.token, json!({ "name": "go", "webhook_url": "http://127.0.0.1:1/" }));
    let code =
        text(&post(&sandbox, &format!("/api/agencies/{lab}/invites"), &alice.token, json!({}))["code"]);
    let dm = text(&post(&sandbox, &format!("/api/dm/{}", bot.id), &alice.token, Value::Null)["agencyId"]);
    let first = sandbox.say(&lobby, &alice.id, "first", json!({ "n": 1 })).unwrap();
    let gone = sandbox.say(&lobby, &alice.id, "gone", Value::Null).unwrap();
    sandbox.say(&dm, &alice.id, "psst", Value::Null).unwrap();
    sandbox.delete_message(&lobby, &gone).unwrap();
    let mut socket = Socket::join(&sandbox, &alice.token, &lobby);
    socket.emit("edit-message", json!({ "agencyId": lobby, "messageId": first, "content": "edited" }));
    socket.wait("message-edited");
    let before = get(&sandbox, &format!("/api/agencies/{lobby}/messages"), &alice.token);
    drop(sandbox);

    let sandbox = folder.start();
    assert_eq!(sandbox.lobby_id(), lobby);
    assert_eq!(get(&sandbox, &format!("/api/agencies/{lobby}/messages"), &session), before);
    assert_eq!(get(&sandbox, &format!("/api/dm/{dm}/messages"), &alice.token)[0]["content"], "psst");
    assert_eq!(get(&sandbox, &path, &alice.token)[0]["name"], "go");
    let bob = sandbox.add_user("bob").unwrap();
    post(&sandbox, "/api/agencies/invite/redeem", &bob.token, json!({ "code": code }));
    assert!(sandbox.add_user("Alice").is_err());
    // New messages are saved, too, and deleted ones do not come back.
    post(&sandbox, &format!("/api/dm/{dm}/purge"), &alice.token, Value::Null);
    sandbox.say(&lobby, &alice.id, "second", Value::Null).unwrap();
    drop(sandbox);
    let sandbox = folder.start();
    assert_eq!(sandbox.messages(&lobby).last().unwrap().content, "second");
    assert_eq!(get(&sandbox, &format!("/api/dm/{dm}/messages"), &alice.token), json!([]));
    let members = get(&sandbox, &format!("/api/agencies/{lab}/members"), &bob.token);
    assert_eq!(members.as_array().unwrap().len(), 2);
}

#[test]
fn an_unfinished_last_line_loses_only_itself() {
    let folder = Folder::new("torn");
    let sandbox = folder.start();
    let alice = sandbox.add_user("alice").unwrap();
    let lobby = sandbox.lobby_id();
    for n in 0..5 {
        sandbox.say(&lobby, &alice.id, &n.to_string(), Value::Null).unwrap();
    }
    drop(sandbox);
    let whole = fs::read(folder.log()).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for end in [last + 1, last + (whole.len() - last) / 2, whole.len() - 1] {
        fs::write(folder.log(), &whole[..end]).unwrap();
        let sandbox = folder.start();
        assert_eq!(sandbox.messages(&lobby).len(), 4);
        sandbox.say(&lobby, &alice.id, "again", Value::Null).unwrap();
        drop(sandbox);
        assert_eq!(folder.start().messages(&lobby).len(), 5);
    }
}

#[test]
fn a_damaged_log_is_refused_and_not_changed() {
    let folder = Folder::new("damaged");
    let sandbox = folder.start();
    sandbox.add_user("alice").unwrap();
    drop(sandbox);
    let text = fs::read_to_string(folder.log()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (line, replacement) in [(1, "[[\"account\", 1"), (0, "{\"other\":1}")] {
        let mut lines = lines.clone();
        lines[line] = replacement;
        let damaged = lines.join("\n") + "\n";
        fs::write(folder.log(), &damaged).unwrap();
        let error = Sandbox::builder().data(&folder.0).start().unwrap_err().to_string();
        assert!(error.contains("sandbox.jsonl") && error.contains(&format!("line {}", line + 1)), "{error}");
        assert_eq!(fs::read_to_string(folder.log()).unwrap(), damaged);
    }
    assert_eq!(call(&Sandbox::start().unwrap(), "GET", "/api/users/alice", "", Value::Null).status, 404);
}

#[test]
fn two_sandboxes_cannot_use_one_folder_at_a_time() {
    let folder = Folder::new("locked");
    let sandbox = folder.start();
    let second = || Sandbox::builder().data(&folder.0).start();
    let error = second().unwrap_err().to_string();
    assert!(error.contains("another sandbox uses") && error.contains("another folder"), "{error}");
    sandbox.stop();
    // Also while the handle of the stopped sandbox still exists.
    let next = second().unwrap();
    sandbox.add_user("alice").unwrap();
    drop(next);
    assert!(second().unwrap().room("lobby").unwrap().messages().is_empty());
}
