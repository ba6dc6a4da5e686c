//! Recording a conversation and replaying it against a bot, over HTTP, from Rust and as a program.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::PATIENCE;
use crate::data::Folder;
use crustocean_sandbox::{Sandbox, Script, ScriptError};

/// A bot that answers each message with its text, until it is dropped.
struct Echo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start(sandbox: &Arc<Sandbox>, answer: fn(&str) -> String) -> Echo {
        let stop = Arc::new(AtomicBool::new(false));
        let (sandbox, stopped) = (sandbox.clone(), stop.clone());
        let (begun, begins) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let lobby = sandbox.room("lobby").unwrap();
            let bot = sandbox.agent("echo").unwrap();
            begun.send(()).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                let heard =
                    lobby.wait_for_message(Duration::from_millis(50), |message| message.sender != "echo");
                if let Ok(heard) = heard {
                    sandbox
                        .say(lobby.id(), &bot.id, &answer(&heard.content), serde_json::Value::Null)
                        .unwrap();
                }
            }
        });
        begins.recv().unwrap();
        Echo { stop, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn plain(text: &str) -> String {
    format!("You said {text} at 2026-03-05T10:00:00.000Z")
}

#[test]
fn a_recorded_conversation_passes_with_the_same_bot_and_fails_with_another() {
    let folder = Folder::new("script");
    fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("talk.jsonl");
    let sandbox = Arc::new(Sandbox::start().unwrap());
    {
        let _echo = Echo::start(&sandbox, plain);
        let _recording = sandbox.record(&file).unwrap();
        let lobby = sandbox.room("lobby").unwrap();
        for text in ["one", "two"] {
            lobby.say("alice", text).unwrap();
            let answer = lobby.wait_for_message(PATIENCE, |message| message.sender == "echo").unwrap();
            assert_eq!(answer.content, plain(text));
        }
    }
    let recorded = fs::read_to_string(&file).unwrap();
    assert_eq!(recorded.lines().count(), 4, "{recorded}");
    assert!(recorded.contains("You said one at {time}"), "{recorded}");

    // The same bot in another sandbox, then a changed one.
    let other = Arc::new(Sandbox::start().unwrap());
    let script = Script::load(&file).unwrap();
    {
        let _echo = Echo::start(&other, plain);
        let report = script.run(&other, "echo").unwrap();
        assert_eq!((report.said, report.answered), (2, 2));
        let run = Command::new(env!("CARGO_BIN_EXE_crustocean-sandbox"))
            .args(["run", file.to_str().unwrap(), "--bot", "echo", "--url", other.url()])
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        assert!(String::from_utf8_lossy(&run.stdout).contains("2 answered as expected"));
    }
    let changed = Arc::new(Sandbox::start().unwrap());
    let _echo = Echo::start(&changed, |text| plain(text).replace("two", "2"));
    let error = script.run(&changed, "echo").unwrap_err();
    let ScriptError::Different { report, differences, .. } = &error else { panic!("{error}") };
    assert_eq!((report.answered, differences.len()), (1, 1));
    let shown = error.to_string();
    assert!(shown.contains("line 4: @echo in lobby") && shown.contains("You said 2 at"), "{shown}");
}

#[test]
fn scripts_are_checked_before_the_first_message() {
    for (text, says) in [
        ("hello", "line 1: not JSON"),
        ("\n# a comment\n{\"tell\":1}", "line 3: a line has"),
        ("{\"say\":\"x\",\"whom\":\"y\"}", "unknown field `whom`"),
        ("{\"expect\":{\"matches\":\"(\"}}", "not a regular expression"),
    ] {
        let error = Script::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let nobody = Script::parse("{\"say\":\"x\",\"room\":\"nowhere\"}").unwrap();
    let sandbox = Sandbox::start().unwrap();
    assert!(nobody.run(&sandbox, "echo").unwrap_err().to_string().contains("line 1: There is no room"));
    let silent = Script::parse("{\"say\":\"x\"}\n{\"expect\":{\"any\":true},\"within_ms\":50}").unwrap();
    let error = silent.run(&sandbox, "echo").unwrap_err().to_string();
    assert!(error.contains("said nothing within 50ms"), "{error}");
}

#[test]
fn a_room_waits_for_later_messages() {
    let sandbox = Sandbox::start().unwrap();
    let lobby = sandbox.room("lobby").unwrap();
    let bot = sandbox.agent("larry").unwrap();
    sandbox.say(lobby.id(), &bot.id, "old", serde_json::Value::Null).unwrap();
    lobby.say("alice", "hello").unwrap();
    let nothing =
        lobby.wait_for_message(Duration::from_millis(20), |message| message.sender == "larry").unwrap_err();
    assert!(nothing.to_string().contains("there were no messages"), "{nothing}");
    sandbox.say(lobby.id(), &bot.id, "new", serde_json::Value::Null).unwrap();
    let answer = lobby.wait_for_message(PATIENCE, |message| message.sender == "larry").unwrap();
    assert_eq!(answer.content, "new");
    assert!(lobby.wait_for_message(Duration::from_millis(20), |_| true).is_err());
    let senders: Vec<String> = lobby.messages().into_iter().map(|message| message.sender).collect();
    assert_eq!(senders, ["larry", "alice", "larry"]);
    let private = sandbox.dm("alice", "larry").unwrap();
    assert_eq!(private.say("alice", "psst").unwrap().sender, "alice");
}
