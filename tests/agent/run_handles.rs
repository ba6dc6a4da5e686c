//! Handles of a run: moved between threads, owned by its streams, and waited for.

use std::io::{self, Read};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::runs::{assert_no_violations, lobby, run_events, transcript_at_end};
use crate::common::{SOON, TestSandbox, eventually, watchdog};
use crustocean::{
    ErrorKind, Message, Stop,
    run::{Run, Stream, ToolCall, Trigger},
};

const LIMIT: Duration = Duration::from_secs(180);

/// A language model whose answer never ends.
struct Silent(mpsc::Receiver<()>);

impl Read for Silent {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(0)
    }
}

fn names(sandbox: &TestSandbox, run: &str) -> Vec<String> {
    run_events(sandbox, run).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn the_last_handle_ends_the_run_wherever_it_is() {
    fn goes_anywhere<T: Send + Sync + 'static>(_: &T) {}
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    goes_anywhere(&run);
    let (id, other) = (run.id().to_string(), run.clone());
    drop(run);
    let mut stream: Stream = thread::spawn(move || other.stream().unwrap()).join().unwrap();
    goes_anywhere(&stream);
    stream.push("still").unwrap();
    eventually("the stream is all that is left", || names(&sandbox, &id).len() == 2);
    assert_eq!(room.try_start_run(Trigger::none()).unwrap_err().kind(), ErrorKind::Conflict);
    stream.finish().unwrap();
    transcript_at_end(&sandbox, "agent-run-error", &id);
    let tool: ToolCall = room.start_run(Trigger::none()).unwrap().tool("think", "hard").unwrap();
    drop(tool);
    assert_eq!(sandbox.wait_for_events("agent-run-error", 2, SOON).len(), 2);
    assert_no_violations(&sandbox);
}

#[test]
fn an_ended_run_reports_that_it_has_ended() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    run.complete("done").unwrap();
    // The room is free although handles still exist.
    let next = room.try_start_run(Trigger::none()).unwrap();
    type Call = fn(&Run) -> crustocean::Error;
    let calls: [Call; 7] = [
        |run| run.complete("again").unwrap_err(),
        |run| run.error("again").unwrap_err(),
        |run| run.status("busy").unwrap_err(),
        |run| run.stream().unwrap_err(),
        |run| run.tool("think", "hard").unwrap_err(),
        |run| run.command("/help").unwrap_err(),
        |run| run.request_permission("deploy", "Deploy it").unwrap_err(),
    ];
    for call in calls {
        let error = call(&run);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("has ended"), "{error}");
    }
    assert!(run.stopped().is_stopped() && !run.is_stopped());
    drop(run);
    next.status("the old one's handles do not end it").unwrap();
    agent.close().unwrap();
    assert!(next.status("late").unwrap_err().is_closed());
    assert!(next.is_stopped());
    assert_eq!(sandbox.wait_for_events("agent-run-error", 1, SOON).len(), 1);
    assert_no_violations(&sandbox);
}

#[test]
fn open_streams_and_tools_end_before_the_run() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let id = run.id().to_string();
    let tool = run.tool("think", "hard").unwrap();
    let mut text = run.stream().unwrap();
    text.push("half a").unwrap();
    run.complete("early").unwrap();
    assert!(run.stream().unwrap_err().to_string().contains("has ended"));
    text.push(" sentence").unwrap();
    drop(text);
    tool.done("thought").unwrap();
    let transcript = transcript_at_end(&sandbox, "agent-run-complete", &id);
    let kinds: Vec<_> = transcript.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "tool-call", "stream-start", "stream-end", "tool-result", "complete"]);
    assert_eq!(sandbox.messages(&sandbox.lobby_id())[0].content, "half a sentence");
    assert_no_violations(&sandbox);
    drop(run);
    room.try_start_run(Trigger::none()).unwrap().complete("next").unwrap();
}

#[test]
fn a_stop_from_the_room_ends_a_model() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (_agent, room) = lobby(&sandbox, "larry");
    let run = room.start_run(Trigger::none()).unwrap();
    let (_model, silence) = mpsc::channel();
    let (called, calls) = mpsc::channel();
    let _on_stop = run.stopped().on_stop(move || called.send(()).unwrap());
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut text = Vec::new();
            run.stopped().reader(Silent(silence)).unwrap().read_to_end(&mut text).map(|_| text)
        });
        sandbox.wait_for_event("agent-run-start", SOON).unwrap();
        sandbox.interrupt_run(run.id().as_str(), "stop", None);
        assert_eq!(reading.join().unwrap().unwrap(), b"");
    });
    calls.recv_timeout(SOON).unwrap();
    assert!(run.is_stopped());
    run.error("stopped by the room").unwrap();
    assert_no_violations(&sandbox);
}

#[test]
fn the_end_of_the_agent_ends_a_model() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, stop) = (TestSandbox::new(), Stop::new());
    let agent = sandbox.builder().stop(&stop).connect(sandbox.agent_token("larry")).unwrap();
    let run = agent.join("lobby").unwrap().start_run(Trigger::none()).unwrap();
    let (_model, silence) = mpsc::channel();
    let stopped = thread::scope(|scope| {
        let reading =
            scope.spawn(|| run.stopped().reader(Silent(silence)).unwrap().read(&mut [0; 8]).unwrap());
        thread::sleep(Duration::from_millis(50));
        let stopped = Instant::now();
        stop.stop();
        assert_eq!(reading.join().unwrap(), 0);
        stopped
    });
    assert!(stopped.elapsed() < Duration::from_secs(20), "{:?}", stopped.elapsed());
    assert!(run.is_stopped());
    assert!(sandbox.wait_for_event("agent-run-error", SOON).is_some());
}

#[test]
fn runs_of_one_room_wait_for_each_other() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, room) = lobby(&sandbox, "larry");
    for n in 0..3 {
        sandbox.alice_says(&format!("@larry question {n}"));
    }
    let answer = |question: &Message| -> crustocean::Result<()> {
        let run = room.start_run(question)?;
        let mut text = run.stream()?;
        thread::sleep(Duration::from_millis(50));
        text.push(format!("an answer to {}", question.content))?;
        text.finish()?;
        run.complete("answered")
    };
    let mentions = agent.mentions();
    thread::scope(|scope| {
        for _ in 0..2 {
            let mentions = mentions.clone();
            scope.spawn(|| mentions.for_each(|question| answer(&question.unwrap()).unwrap()));
        }
        assert_eq!(sandbox.wait_for_events("agent-run-complete", 3, SOON).len(), 3);
        agent.clone().close().unwrap();
    });
    let said = sandbox.messages(&sandbox.lobby_id());
    assert_eq!(said.iter().filter(|message| message.content.contains("an answer to")).count(), 3);
    assert_no_violations(&sandbox);
}

#[test]
fn waiting_for_a_room_has_an_end() {
    let _watchdog = watchdog(LIMIT);
    let (sandbox, stop) = (TestSandbox::new(), Stop::new());
    let impatient = sandbox.builder().run_wait(Duration::from_millis(50));
    let impatient = impatient.connect(sandbox.agent_token("ben")).unwrap().join("lobby").unwrap();
    let open = impatient.start_run(Trigger::none()).unwrap();
    let error = impatient.start_run(Trigger::none()).unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("a run is open in this room"), "{error}");
    drop(open);

    let agent = sandbox.builder().stop(&stop).connect(sandbox.agent_token("larry")).unwrap();
    let room = agent.join("lobby").unwrap();
    let _open = room.start_run(Trigger::none()).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| room.start_run(Trigger::none()).unwrap_err());
        thread::sleep(Duration::from_millis(50));
        stop.stop();
        assert!(waiting.join().unwrap().is_closed());
    });
}

#[test]
fn a_reply_can_be_confirmed() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (agent, _room) = lobby(&sandbox, "larry");
    sandbox.alice_says("@larry are you there?");
    let question = agent.mentions().next().unwrap().unwrap();
    let answer = agent.post_reply(&question, "yes").unwrap().first;
    let again = agent.room_of(&question).post_reply(&question, "and yes").unwrap().first;
    for (answer, text) in [(answer, "yes"), (again, "and yes")] {
        assert_eq!((answer.content.as_str(), answer.loop_guard().map(|guard| guard.hop)), (text, Some(1)));
    }
}

#[test]
fn a_function_of_a_run_that_blocks_keeps_no_agent_open() {
    let _watchdog = watchdog(LIMIT);
    for by_stop in [false, true] {
        let (sandbox, stop) = (TestSandbox::new(), Stop::new());
        let agent = sandbox.builder().stop(&stop).connect(sandbox.agent_token("larry")).unwrap();
        let run = agent.join("lobby").unwrap().start_run(Trigger::none()).unwrap();
        let (free, blocked) = mpsc::channel::<()>();
        let blocked = std::sync::Mutex::new(blocked);
        let _on_stop = run.stopped().on_stop(move || {
            let _ = blocked.lock().unwrap().recv();
        });
        if by_stop {
            stop.stop();
        } else {
            agent.clone().close().unwrap();
        }
        eventually("the agent is closed", || !agent.is_connected());
        drop(free);
    }
}
