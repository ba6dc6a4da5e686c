//! Streams of a run: the room sees the text grow, and the sent bytes do not grow with the square of its length.

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use crate::common::runs::{assert_no_violations, lobby, run_events, transcript_at_end};
use crate::common::{SOON, ScriptedServer, TestSandbox, eventually, scripted, watchdog};
use crustocean::{Agent, ErrorKind, Outgoing, Room, run::Trigger};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

/// A server that passes on the stream's events with their sizes.
fn measured() -> (ScriptedServer, mpsc::Receiver<(usize, Value)>, Agent, Room) {
    let (parts, seen) = mpsc::channel();
    let server = ScriptedServer::start(move |conn| {
        conn.handshake();
        conn.accept_join();
        while let Some(text) = conn.recv_text(Duration::from_secs(20)) {
            let Some(json) = text.strip_prefix("42") else { continue };
            let mut event: Value = serde_json::from_str(json).unwrap();
            if event[0] == "agent-run-stream" && parts.send((text.len(), event[1].take())).is_err() {
                return;
            }
        }
    });
    let agent = scripted(&server);
    let room = agent.join("ag-1").unwrap();
    (server, seen, agent, room)
}

/// The number of frames and bytes, and the last part.
fn collect(seen: &mpsc::Receiver<(usize, Value)>) -> (usize, usize, Value) {
    let (mut bytes, mut count, mut so_far) = (0, 0, String::new());
    loop {
        let (size, part) = seen.recv_timeout(SOON).unwrap();
        bytes += size;
        count += 1;
        let content = part["content"].as_str().unwrap();
        if part["done"] == true {
            assert!(content.starts_with(&so_far));
            return (bytes, count, part);
        }
        so_far.push_str(part["delta"].as_str().unwrap());
        assert_eq!(content, so_far, "the deltas make up the content");
    }
}

#[test]
fn pushes_of_single_tokens_share_frames() {
    let _watchdog = watchdog(LIMIT);
    let (_server, seen, agent, room) = measured();
    let run = room.start_run(Trigger::none()).unwrap();
    let tokens: Vec<String> = (0..2_000).map(|n| format!("token{n} ")).collect();
    let text = tokens.concat();

    // The first stream is as fast as possible.
    let mut stream = run.stream().unwrap();
    for token in &tokens {
        stream.push(token).unwrap();
    }
    assert_eq!(stream.text(), text);
    stream.finish().unwrap();
    let (bytes, _, last) = collect(&seen);
    assert_eq!(last["content"].as_str(), Some(&*text));
    // One frame per token would be 19 MB. The result depends on the pace, so the limit allows for a busy machine.
    assert!(bytes < 30 * text.len(), "{bytes} bytes for {}", text.len());

    // The second stream has the speed of a model and takes three seconds.
    let mut stream = run.stream().unwrap();
    for token in &tokens {
        stream.push(token).unwrap();
        std::thread::sleep(Duration::from_micros(1_500));
    }
    stream.finish().unwrap();
    let (bytes, count, last) = collect(&seen);
    assert_eq!(last["content"].as_str(), Some(&*text));
    assert!(count > 3, "{count}: the room sees it grow");
    assert!(bytes < 30 * text.len(), "{bytes} bytes for {}", text.len());
    run.complete("").unwrap();
    agent.close().unwrap();
}

#[test]
fn a_stream_can_be_written_to() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let id = run.id().to_string();
    let text = "Ein Preis: €3000 🦀\n".repeat(20);

    let mut stream = run.stream().unwrap();
    write!(stream, "{text}").unwrap();
    let first = stream.finish().unwrap();
    // The pieces have two bytes each, which splits characters.
    let mut stream = run.stream().unwrap();
    for bytes in text.as_bytes().chunks(2) {
        std::io::Write::write_all(&mut stream, bytes).unwrap();
    }
    std::io::Write::flush(&mut stream).unwrap();
    let second = stream.finish().unwrap();
    // The stream ends after half of a character.
    let mut stream = run.stream().unwrap();
    std::io::copy(&mut &"a🦀".as_bytes()[..3], &mut stream).unwrap();
    let third = stream.finish().unwrap();
    // An empty stream can have another text at its end.
    let fourth =
        run.stream().unwrap().finish_with(Outgoing::new("corrected").with("agent_log", true)).unwrap();
    run.complete("").unwrap();

    let transcript = transcript_at_end(&sandbox, "agent-run-complete", &id);
    let ends: Vec<_> = run_events(&sandbox, &id).into_iter().filter(|(_, it)| it["done"] == true).collect();
    let expected = [(&first, text.as_str()), (&second, &text), (&third, "a\u{fffd}"), (&fourth, "corrected")];
    for ((_, end), (id, text)) in ends.iter().zip(expected) {
        assert_eq!((end["messageId"].as_str(), end["content"].as_str()), (Some(id.as_str()), Some(text)));
        let noted = transcript.iter().find(|it| it["type"] == "stream-end" && it["messageId"] == id.as_str());
        assert_eq!(noted.unwrap()["contentLength"], text.encode_utf16().count());
    }
    assert_eq!(ends.len(), 4);
    assert_eq!((ends[0].1.get("metadata"), &ends[3].1["metadata"]), (None, &json!({"agent_log": true})));
    assert_no_violations(&sandbox);
}

#[test]
fn the_shown_text_can_be_read() {
    let _watchdog = watchdog(LIMIT);
    let (_server, seen, agent, room) = measured();
    let run = room.start_run(Trigger::none()).unwrap();
    let mut stream = run.stream().unwrap();
    stream.push("").unwrap();
    stream.push("one").unwrap();
    stream.push(" two").unwrap();
    stream.push(" three").unwrap();
    stream.flush().unwrap();
    stream.flush().unwrap();
    let mut parts = Vec::new();
    while parts.last().is_none_or(|part: &Value| part["content"] != "one two three") {
        parts.push(seen.recv_timeout(SOON).unwrap().1);
    }
    assert_eq!(parts[0]["content"], "one", "the first at once");
    drop(stream);
    let (_, end) = seen.recv_timeout(SOON).unwrap();
    assert_eq!((&end["done"], &end["content"]), (&json!(true), &json!("one two three")));
    drop(run);
    agent.close().unwrap();
}

#[test]
fn an_ended_stream_refuses_more_text() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let mut stream = run.stream().unwrap();
    let kilobyte = "x".repeat(1024);
    for _ in 0..256 {
        stream.push(&kilobyte).unwrap();
    }
    assert_eq!(stream.push("y").unwrap_err().kind(), ErrorKind::Invalid);
    assert!(std::io::Write::write_all(&mut stream, b"y").is_err());
    assert_eq!(stream.text().len(), 256 * 1024);
    stream.finish().unwrap();
    let id = run.id().to_string();
    run.complete("").unwrap();
    transcript_at_end(&sandbox, "agent-run-complete", &id);
    eventually("all of it arrives", || {
        let whole = run_events(&sandbox, &id).into_iter().find(|(_, it)| it["done"] == true);
        whole.is_some_and(|(_, it)| it["content"].as_str().unwrap().len() == 256 * 1024)
    });
    assert_no_violations(&sandbox);
}

#[test]
fn a_stream_ends_even_if_the_server_does_not_take_all_of_it() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    // Each character takes six bytes, together more than a million.
    let noise = "\u{1}".repeat(250 * 1024);
    let mut stream = run.stream().unwrap();
    stream.push(&noise).unwrap_err();
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Invalid);
    let mut stream = run.stream().unwrap();
    stream.push(&noise).unwrap_err();
    drop(stream);
    run.complete("").unwrap();
    for end in sandbox.wait_for_events("agent-run-stream", 2, SOON) {
        assert_eq!(end["done"], true);
        assert!(end["content"].as_str().unwrap().starts_with("\u{1}\u{1}"));
    }
    assert!(sandbox.wait_for_event("agent-run-complete", SOON).is_some());
    assert_no_violations(&sandbox);
}
