//! Tests the page in headless Chromium, driven over the DevTools protocol.
//!
//! Without Chromium the test prints that it does not run. `CHROMIUM` names another program. With
//! `CRUSTOCEAN_BROWSER=required` a missing browser is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a failure here is a failed test"
)]
// The helpers belong to another test program, and this one uses only some of them.
#![allow(dead_code, reason = "shared helpers")]

mod chromium;
#[path = "../sandbox/common/mod.rs"]
mod common;

use std::fs;

use chromium::{Browser, Page};
use common::{Socket, agent_session, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

struct Bot {
    socket: Socket,
    base: Value,
    lobby: String,
}

impl Bot {
    fn connect(sandbox: &Sandbox) -> Bot {
        let (_, bot) = sandbox.demo().unwrap();
        let lobby = sandbox.lobby_id();
        let socket = Socket::join(sandbox, &agent_session(sandbox, &bot.token), &lobby);
        let base = json!({
            "runId": "run-1", "agencyId": lobby, "agentId": bot.id, "username": "mybot", "displayName": "mybot",
        });
        Bot { socket, base, lobby }
    }

    fn emit(&mut self, event: &str, more: Value) {
        let mut payload = self.base.clone();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.socket.emit(event, payload);
    }

    /// The next message of another account.
    fn next_message(&mut self) -> Value {
        loop {
            let message = self.socket.wait("message");
            if message["sender_username"] != "mybot" {
                return message;
            }
        }
    }

    fn send(&mut self, content: &str, metadata: Value) {
        let message = json!({ "agencyId": self.lobby, "content": content, "metadata": metadata });
        self.socket.emit("send-message", message);
    }
}

/// Types a message with key events, and sends it with the Enter key.
fn type_message(page: &mut Page, words: &str) {
    page.evaluate("document.getElementById('text').focus()");
    page.call("Input.insertText", json!({ "text": words }));
    let key = |kind: &str| json!({ "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" });
    page.call("Input.dispatchKeyEvent", key("keyDown"));
    page.call("Input.dispatchKeyEvent", key("keyUp"));
}

#[test]
fn the_page_sends_messages_approves_requests_and_sets_faults() {
    let Some(mut browser) = Browser::start() else { return };
    let sandbox = Sandbox::builder().demo(true).start().unwrap();
    let mut bot = Bot::connect(&sandbox);
    let mut page = browser.open(&format!("{}/_sandbox", sandbox.url()));
    page.until("document.getElementById('status').textContent === 'connected'");
    page.until("document.querySelector('#rooms [aria-current=true]')");

    // The bot answers the typed message.
    type_message(&mut page, "@mybot what does ETH cost?");
    let heard = bot.next_message();
    assert_eq!(
        (&heard["content"], &heard["sender_username"]),
        (&json!("@mybot what does ETH cost?"), &json!("demo"))
    );

    bot.send("Let me look at ETH.", json!({}));
    page.until(
        "[...document.querySelectorAll('.text')].some(t => t.textContent.includes('Let me look at ETH.'))",
    );

    // The bot shows a tool call and requests a permission, which a click grants.
    bot.emit("agent-run-start", json!({ "triggerMessageId": heard["id"] }));
    bot.emit(
        "agent-run-tool-call",
        json!({ "toolCallId": "t", "tool": "/price", "input": "ETH", "status": "running" }),
    );
    let done = json!({ "toolCallId": "t", "tool": "/price", "output": "3000", "duration": "85ms", "status": "done" });
    bot.emit("agent-run-tool-result", done);
    bot.emit(
        "agent-run-stream",
        json!({ "messageId": "m-1", "delta": "ETH is at", "content": "ETH is at", "done": false }),
    );
    bot.emit(
        "agent-run-permission",
        json!({ "permissionId": "p", "action": "place_order", "description": "Buy 0.1 ETH?" }),
    );
    page.until("document.querySelector('.run .approve')");
    page.until("document.querySelector('.run').textContent.includes('/price ETH')");
    let _shown = page.screenshot();
    page.evaluate("document.querySelector('.run .approve').click()");
    assert_eq!(bot.socket.wait("agent-run-permission-response")["decision"], "approve");
    page.until("document.querySelector('.run .ask').textContent.includes('approved')");
    bot.emit("agent-run-stream", json!({ "messageId": "m-1", "content": "ETH is at 3000.", "done": true }));
    let transcript = json!([{ "type": "start", "triggerMessageId": null, "ts": 0 }, { "type": "complete", "summary": "Bought.", "ts": 9 }]);
    bot.emit("agent-run-complete", json!({ "summary": "Bought.", "transcript": transcript }));
    page.until("document.querySelector('.run.completed')");

    // A bot's message is shown as text, never as markup.
    bot.send(
        "<img src=x onerror=\"document.title='caught'\">",
        json!({ "loop_guard": { "hop": 1, "max_hops": 20 } }),
    );
    page.until("[...document.querySelectorAll('.text')].some(t => t.textContent.startsWith('<img'))");
    page.until("[...document.querySelectorAll('.tag')].some(t => t.textContent === 'hop 1 of 20')");
    assert_eq!(page.evaluate("document.title"), "Crustocean sandbox");

    // A button sets a fault: the bot notices it, and the traffic log shows it.
    page.evaluate("document.querySelector('[data-fault=\"fail=503x3\"]').click()");
    page.until("document.getElementById('active').textContent.includes('fail=503x3')");
    assert_eq!(common::call(&sandbox, "GET", "/api/auth/me", "", Value::Null).status, 503);
    page.until("[...document.querySelectorAll('.entry.rest')].some(e => e.textContent.includes('503'))");
    page.evaluate("(() => { const f = document.getElementById('filter'); f.value = '503'; f.dispatchEvent(new Event('input')); })()");
    page.until("[...document.querySelectorAll('.entry')].filter(e => !e.hidden).every(e => e.dataset.text.includes('503'))");

    // Keys: open the help, and send the last message again.
    page.evaluate("document.activeElement.blur()");
    page.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": "a", "text": "a" }));
    assert_eq!(bot.next_message()["content"], "@mybot what does ETH cost?");
    assert_eq!(page.errors(), Vec::<String>::new());
}

/// Takes the README's picture: `CRUSTOCEAN_SCREENSHOT=page.png cargo test -p crustocean-sandbox --test browser picture`.
#[test]
fn the_picture_of_the_readme_can_be_taken() {
    let Some(mut browser) = Browser::start() else { return };
    let sandbox = Sandbox::builder().demo(true).start().unwrap();
    let mut bot = Bot::connect(&sandbox);
    let mut page = browser.open(&format!("{}/_sandbox", sandbox.url()));
    page.until("document.getElementById('status').textContent === 'connected'");
    let lobby = sandbox.room("lobby").unwrap();
    lobby.say("alice", "@mybot what does ETH cost? Buy some if it is below 3,100.").unwrap();
    bot.emit("agent-run-start", json!({ "triggerMessageId": null }));
    bot.emit(
        "agent-run-tool-call",
        json!({ "toolCallId": "t", "tool": "/price", "input": "ETH --in USD", "status": "running" }),
    );
    let done = json!({ "toolCallId": "t", "tool": "/price", "output": "3000", "duration": "85ms", "status": "done" });
    bot.emit("agent-run-tool-result", done);
    bot.emit("agent-run-stream", json!({ "messageId": "m-1", "delta": "x", "content": "ETH is at 3,000 USD, so I would", "done": false }));
    bot.emit(
        "agent-run-permission",
        json!({ "permissionId": "p", "action": "place_order", "description": "Buy 0.1 ETH for 300 USD?" }),
    );
    let trace = json!({ "trace": [{ "step": "/price BTC", "duration": "12ms", "status": "done" }],
        "content_spans": [{ "text": "BTC is at " }, { "text": "61,204", "color": "#16a34a" }],
        "loop_guard": { "hop": 1, "max_hops": 20 } });
    bot.send("BTC is at 61,204", trace);
    sandbox.dm("alice", "mybot").unwrap().say("alice", "can you keep a secret?").unwrap();
    sandbox.fault("fail=503x1,latency=80ms").unwrap();
    let _ = common::call(&sandbox, "GET", "/api/explore/agents", "", Value::Null);
    page.until("document.querySelector('.run .approve')");
    page.until("document.querySelector('.trace')");
    page.until("[...document.querySelectorAll('.entry.rest')].some(e => e.textContent.includes('503'))");
    let picture = page.screenshot();
    assert_eq!(picture.get(1..4), Some(&b"PNG"[..]));
    if let Ok(file) = std::env::var("CRUSTOCEAN_SCREENSHOT") {
        fs::write(file, picture).unwrap();
    }
    assert_eq!(text(&page.evaluate("getComputedStyle(document.body).display")), "grid");
}
