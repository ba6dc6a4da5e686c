//! Posts whose connection broke: their results are true, and `repost` sends nothing twice.

use std::thread;
use std::time::Duration;

use crate::common::{HoldingProxy, SOON, ScriptedServer, TestSandbox, eventually, scripted, watchdog};
use crustocean::{Agent, AgentToken, Error, ErrorKind, agent::LongMessages};
use crustocean_sandbox::Sandbox;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);
/// The pause is long enough for the connection to be closed, and shorter than the time after which the server ends a
/// session.
const SHORT: Duration = Duration::from_millis(1_500);

struct Setup {
    sandbox: TestSandbox,
    path: HoldingProxy,
    agent: Agent,
    token: AgentToken,
}

/// An agent in the lobby, over a relay that can hold data back. The server ends sessions after six seconds of silence: a
/// busy machine must not break the next connection, too.
fn setup(post_timeout: Duration) -> Setup {
    let heartbeat = Duration::from_secs(3);
    let sandbox = TestSandbox::with(Sandbox::builder().ping_interval(heartbeat).ping_timeout(heartbeat));
    let token = sandbox.agent_token("larry");
    let path = HoldingProxy::start(sandbox.url().strip_prefix("http://").unwrap());
    let agent = Agent::builder()
        .api_url(path.url())
        .post_timeout(post_timeout)
        .long_messages(LongMessages::split(300).pause(Duration::from_secs(1)))
        .connect(token.clone())
        .unwrap();
    agent.set_home(&agent.join("lobby").unwrap()).unwrap();
    Setup { sandbox, path, agent, token }
}

impl Setup {
    /// How many messages of the room have this text.
    fn count(&self, text: &str) -> usize {
        let said = self.sandbox.messages(&self.sandbox.lobby_id());
        said.iter().filter(|message| message.content == text).count()
    }

    /// Posts over a connection that takes the message, holds it back, and breaks.
    fn post_into_the_break(&self, text: &str) -> thread::JoinHandle<crustocean::Result<String>> {
        self.path.hold();
        let (agent, text) = (self.agent.clone(), text.to_owned());
        let post = thread::spawn(move || agent.post(text).map(|posted| posted.first.content));
        self.path.wait_held(SOON);
        self.path.cut();
        post
    }
}

fn maybe_sent(outcome: crustocean::Result<String>) -> Error {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    assert!(!error.is_retryable() && error.unsent().unwrap().may_have_been_sent(), "{error}");
    error
}

#[test]
fn a_message_that_arrives_late_is_not_sent_again() {
    let _watchdog = watchdog(LIMIT);
    let scene = setup(SOON);
    let post = scene.post_into_the_break("late");
    eventually("the link is back", || scene.agent.is_connected());
    scene.path.release();
    assert_eq!(post.join().unwrap().unwrap(), "late");
    assert_eq!(scene.count("late"), 1);
}

#[test]
fn a_message_that_may_still_arrive_is_neither_not_sent_nor_sent_twice() {
    let _watchdog = watchdog(LIMIT);
    let scene = setup(SHORT);
    let error = maybe_sent(scene.post_into_the_break("late").join().unwrap());
    assert_eq!(scene.count("late"), 0, "not yet");
    let unsent = error.unsent().unwrap();
    let posted = thread::scope(|scope| {
        let repost = scope.spawn(|| scene.agent.repost(unsent));
        scene.path.release();
        repost.join().unwrap().unwrap()
    });
    assert_eq!((posted.first.content.as_str(), posted.rest.len()), ("late", 0));
    assert_eq!(scene.count("late"), 1);
    // The second attempt finds the message.
    assert_eq!(scene.agent.repost(unsent).unwrap().first.id, posted.first.id);
    assert_eq!(scene.count("late"), 1);
}

#[test]
fn a_message_that_cannot_arrive_any_more_is_sent_again() {
    let _watchdog = watchdog(LIMIT);
    let scene = setup(SHORT);
    let error = maybe_sent(scene.post_into_the_break("lost").join().unwrap());
    scene.agent.repost(error.unsent().unwrap()).unwrap();
    assert_eq!(scene.count("lost"), 1);
    // The server has already ended that session.
    scene.path.release();
    scene.agent.post("after it").unwrap();
    assert_eq!((scene.count("lost"), scene.count("after it")), (1, 1));
}

#[test]
fn with_a_long_timeout_the_end_of_the_old_session_decides() {
    let _watchdog = watchdog(LIMIT);
    let scene = setup(SOON);
    let error = scene.post_into_the_break("lost").join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error}");
    assert!(error.is_retryable() && !error.unsent().unwrap().may_have_been_sent());
    scene.path.release();
    scene.agent.post("after it").unwrap();
    assert_eq!(scene.count("lost"), 0);
}

#[test]
fn the_parts_that_have_arrived_are_not_sent_again() {
    let _watchdog = watchdog(LIMIT);
    let scene = setup(SHORT);
    let parts: Vec<String> = ["a", "b", "c"].map(|part| part.repeat(250)).to_vec();
    let error = thread::scope(|scope| {
        let post = scope.spawn(|| scene.agent.post(parts.join("\n\n")));
        eventually("the first part is there", || scene.count(&parts[0]) == 1);
        scene.path.hold();
        scene.path.wait_held(SOON);
        scene.path.cut();
        post.join().unwrap().unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    assert!(error.to_string().starts_with("1 of 3 parts of the message are in the room"), "{error}");
    let unsent = error.unsent().unwrap();
    assert_eq!((unsent.posted().len(), unsent.room().as_str()), (1, &*scene.sandbox.lobby_id()));
    let posted = scene.agent.repost(unsent).unwrap();
    assert_eq!(posted.iter().map(|part| &part.content).collect::<Vec<_>>(), parts.iter().collect::<Vec<_>>());
    scene.path.release();
    scene.agent.post("after it").unwrap();
    assert_eq!(parts.iter().map(|part| scene.count(part)).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn a_post_that_timed_out_before_the_loss_is_not_sent_twice_either() {
    let _watchdog = watchdog(LIMIT);
    let scene = setup(Duration::from_millis(50));
    scene.path.hold();
    let error = scene.agent.post("held").unwrap_err();
    assert!(error.is_timeout() && error.unsent().unwrap().may_have_been_sent(), "{error}");
    scene.path.cut();
    eventually("the loss is noticed", || !scene.agent.is_connected());
    let posted = thread::scope(|scope| {
        let repost = scope.spawn(|| scene.agent.repost(error.unsent().unwrap()));
        eventually("the link is back", || scene.agent.is_connected());
        scene.path.release();
        repost.join().unwrap().unwrap()
    });
    assert_eq!((posted.first.content.as_str(), scene.count("held")), ("held", 1));
}

#[test]
fn a_server_that_ends_the_session_has_not_read_the_message() {
    let _watchdog = watchdog(LIMIT);
    for goodbye in ["41", "1"] {
        let server = ScriptedServer::start(move |conn| {
            conn.handshake();
            conn.accept_join();
            if conn.index == 0 {
                conn.expect_event("send-message");
                conn.send_text(goodbye);
            }
            conn.recv(SOON);
        });
        let agent = scripted(&server);
        agent.set_home(&agent.join("lobby").unwrap()).unwrap();
        let post = thread::spawn({
            let agent = agent.clone();
            move || agent.post("hello")
        });
        // After a disconnect by the server, the agent waits some seconds.
        eventually("the end is seen", || !agent.is_connected());
        agent.reconnect_now();
        let error = post.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSent, "{goodbye}: {error}");
    }
}

#[test]
fn a_post_interrupted_by_close_can_be_finished_by_another_agent() {
    let _watchdog = watchdog(LIMIT);
    let scene = setup(SOON);
    scene.path.hold();
    let (agent, other) = (scene.agent.clone(), scene.agent.clone());
    let post = thread::spawn(move || agent.post("cut off"));
    scene.path.wait_held(SOON);
    let _ = other.close();
    let error = post.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert!(
        error.is_closed() && error.may_have_been_sent() && error.unsent().unwrap().may_have_been_sent(),
        "{error}"
    );
    // The held message arrives, and the next agent with that token finds it.
    scene.path.release();
    let next = scene.sandbox.builder().connect(scene.token.clone()).unwrap();
    next.join("lobby").unwrap();
    assert_eq!(next.repost(error.unsent().unwrap()).unwrap().first.content, "cut off");
    assert_eq!(scene.count("cut off"), 1);
    // The agent has sent nothing of this post, so the result is certain.
    let error = scene.agent.post("too late").unwrap_err();
    assert!(error.is_closed() && !error.unsent().unwrap().may_have_been_sent(), "{error}");
}

#[test]
fn an_error_about_the_message_itself_leaves_nothing_to_send() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let error = agent.send("").unwrap_err();
    assert!(error.unsent().is_none());
    let metadata = json!({"blob": "x".repeat(2_000_000)});
    let big = crustocean::Outgoing::new("x").metadata(metadata.as_object().unwrap().clone());
    assert_eq!(agent.post(big).unwrap_err().kind(), ErrorKind::Invalid);
}
