//! The README's bot goes on after answers that could not be sent.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::{SOON, TestSandbox, eventually, watchdog};
use crustocean::{AgencyId, Agent, Result};

const LIMIT: Duration = Duration::from_secs(180);

/// The bot of the README, with a model and a log.
fn bot(agent: &Agent, model: impl Fn(&str) -> String, log: &mpsc::Sender<String>) -> Result<()> {
    for question in agent.mentions() {
        let question = question?;
        if let Err(error) = question.reply(model(&question.content)) {
            log.send(error.to_string()).unwrap();
        }
    }
    Ok(())
}

#[test]
fn an_empty_answer_and_a_lost_connection_lose_one_answer_each() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (alice, builder) =
        (sandbox.alice.clone(), sandbox.builder().send_timeout(Duration::from_millis(100)));
    let agent = builder.connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    let (log, errors) = mpsc::channel();
    let (asked, question) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let handle = agent.clone();
    let running = thread::spawn(move || {
        let model = |text: &str| match text {
            "@larry nothing" => "  ".to_owned(),
            "@larry slow" => {
                asked.send(()).unwrap();
                gate.recv().unwrap();
                "too late".to_owned()
            }
            _ => "here I am".to_owned(),
        };
        bot(&handle, model, &log)
    });
    sandbox.alice_says("@larry nothing");
    let error = errors.recv_timeout(SOON).unwrap();
    assert!(error.contains("white space"), "{error}");
    sandbox.alice_says("@larry slow");
    question.recv_timeout(SOON).unwrap();
    let state = sandbox.suspend();
    drop(sandbox);
    eventually("the link is lost", || !agent.is_connected());
    go.send(()).unwrap();
    let error = errors.recv_timeout(SOON).unwrap();
    assert!(error.contains("no reconnect"), "{error}");

    let sandbox = TestSandbox::resumed(state, alice);
    agent.reconnect_now();
    sandbox.alice_says("@larry still there?");
    let lobby = sandbox.lobby_id();
    let said = || -> Vec<_> { sandbox.messages(&lobby).into_iter().map(|message| message.content).collect() };
    eventually("it answers", || said().last().is_some_and(|text| text == "here I am"));
    assert_eq!(said().len(), 4, "{:?}", said());
    agent.close().unwrap();
    running.join().unwrap().unwrap();
}

#[test]
fn white_space_is_refused_before_anything_is_done_for_it() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.in_lobby("larry");
    let room = agent.home().unwrap();
    sandbox.alice_says("@larry?");
    let question = agent.mentions().next().unwrap().unwrap();
    sandbox.stop();
    eventually("the link is lost", || !agent.is_connected());
    sandbox.clear_records();
    for blank in ["", "  ", "\n\t\u{3000}"] {
        let elsewhere = AgencyId::from("not-joined");
        let errors = [
            agent.reply(&question, blank).unwrap_err(),
            agent.send(blank).unwrap_err(),
            agent.try_send(blank).unwrap_err(),
            agent.send_dm(&elsewhere, blank).unwrap_err(),
            room.send(blank).unwrap_err(),
            room.post(blank).unwrap_err(),
            room.post_reply(&question, blank).unwrap_err(),
            room.edit(&*question, blank).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), crustocean::ErrorKind::Invalid, "{error}");
            assert!(error.unsent().is_none());
        }
    }
    assert_eq!(sandbox.requests(), Vec::<String>::new());
}
