//! The platform's public reference bots. Each needs only a few lines, because the crate reconnects, joins rooms again,
//! skips the bot's own messages and selects the room. The network fails in the middle of each test.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::{SOON, TestSandbox, eventually, watchdog};
use crustocean::{Agent, Message, Result};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);

/// Larry answers mentions in two rooms with a language model, which reads the last 15 messages of the room.
fn larry(agent: &Agent) -> Result<()> {
    for room in ["lobby", "the-den"] {
        agent.join(room)?;
    }
    agent.mentions().in_parallel(2, |question| {
        let context = agent.room_of(&question).recent(15)?;
        agent.reply(&question, model(&context))
    })
}

/// A model that returns its context.
fn model(context: &[Message]) -> String {
    let texts: Vec<_> = context.iter().map(|message| message.content.as_str()).collect();
    format!("I know {}: {}", texts.len(), texts.join(", "))
}

/// Clawdia joins the rooms in her settings, all rooms of which she is a member, and those to which she is invited.
fn clawdia(agent: &Agent, settings: &[&str]) -> Result<()> {
    for room in settings {
        agent.join(room)?;
    }
    agent.join_all()?;
    agent.follow_invites()?;
    agent.follow_dms(Duration::from_secs(1))?;
    agent.mentions().in_parallel(1, |question| {
        agent.reply(&question, format!("{} yourself", question.content.replace("@clawdia", "@alice")))
    })
}

/// Conch uses tools. A tool that changes something needs the room's permission.
fn conch(agent: &Agent) -> Result<()> {
    agent.join("lobby")?;
    agent.mentions().in_parallel(1, |task| {
        let run = agent.room_of(&task).start_run(&task)?;
        let found = run.tool_step("read_file", "README.md", || Ok::<_, crustocean::Error>("42 lines"))?;
        let open = || Ok::<_, crustocean::Error>("#7");
        let question = "Open a pull request?";
        let opened = run.tool_step_if_permitted("open_pull_request", "Fix the typo", question, open)?;
        let outcome = match opened {
            Some(number) => format!("I read {found} and opened a pull request, {number}."),
            None => format!("I read {found} and left it at that."),
        };
        let mut text = run.stream()?;
        text.push(outcome)?;
        text.finish()?;
        run.complete("Done.")
    })
}

/// Starts a bot on a thread, which returns its result.
fn start(agent: &Agent, bot: impl FnOnce(&Agent) -> Result<()> + Send + 'static) -> JoinHandle<Result<()>> {
    let agent = agent.clone();
    thread::spawn(move || bot(&agent))
}

/// Checks that the bot is still running, and ends it.
fn finish(agent: Agent, bot: JoinHandle<Result<()>>) {
    agent.close().unwrap();
    bot.join().unwrap().unwrap();
}

fn say(sandbox: &TestSandbox, room: &str, text: &str) {
    sandbox.say(room, &sandbox.alice.id, text, Value::Null).unwrap();
}

fn texts(sandbox: &TestSandbox, room: &str) -> Vec<String> {
    sandbox.messages(room).into_iter().map(|message| message.content).collect()
}

fn lose_connection(sandbox: &TestSandbox, agent: &Agent) {
    sandbox.drop_links();
    eventually("the link is lost", || !agent.is_connected());
}

#[test]
fn larry_answers_in_two_rooms_with_their_context() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let lobby = sandbox.lobby_id();
    let den = sandbox.add_agency("The Den", &sandbox.alice.id).unwrap();
    for n in 0..20 {
        say(&sandbox, &lobby, &format!("lobby {n}"));
        say(&sandbox, &den, &format!("den {n}"));
    }
    let agent = sandbox.connect("larry");
    let bot = start(&agent, larry);
    eventually("larry is in both rooms", || agent.rooms().len() == 2);
    let answered = |room: &str, expected: &str| {
        eventually("the answer is there", || {
            texts(&sandbox, room).last().is_some_and(|text| text == expected)
        });
    };
    let context = |name: &str, question: &str| {
        let said: Vec<_> = (6..20).map(|n| format!("{name} {n}")).collect();
        format!("I know 15: {}, {question}", said.join(", "))
    };
    say(&sandbox, &lobby, "@larry what now?");
    say(&sandbox, &den, "Larry, not mentioned");
    answered(&lobby, &context("lobby", "@larry what now?"));
    assert_eq!(texts(&sandbox, &den).len(), 21, "nobody was asked there");

    lose_connection(&sandbox, &agent);
    say(&sandbox, &den, "@larry are you there?");
    let said: Vec<_> = (7..20).map(|n| format!("den {n}")).collect();
    answered(&den, &format!("I know 15: {}, Larry, not mentioned, @larry are you there?", said.join(", ")));
    say(&sandbox, &den, "@larry and now?");
    eventually("he is", || texts(&sandbox, &den).len() == 25);
    finish(agent, bot);
    // He answers every question once, and never himself.
    assert_eq!((texts(&sandbox, &lobby).len(), texts(&sandbox, &den).len()), (22, 25));
}

#[test]
fn clawdia_answers_in_all_her_rooms() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let client = sandbox.client();
    let private = |name: &str| client.agencies().create(name).private(true).send().unwrap().id;
    let invite = |room: &crustocean::AgencyId| client.agencies().add_agent(room, "clawdia").unwrap();
    let reef = sandbox.add_agency("Reef", &sandbox.alice.id).unwrap();
    let agent = sandbox.connect("clawdia");
    let member = private("Members");
    invite(&member);
    let bot = start(&agent, |agent| clawdia(agent, &["reef"]));
    eventually("she is in the rooms that there are", || agent.rooms().len() == 3);

    let live = private("Live");
    eventually("she follows", || {
        // Before that the loop may not have started.
        sandbox.requests().iter().any(|request| request == "GET /api/dm")
    });
    invite(&live);
    eventually("she follows the invitation", || agent.rooms().len() == 4);
    let dm = client.dms().open(&agent.user().id).unwrap();
    say(&sandbox, dm.as_str(), "hush");

    lose_connection(&sandbox, &agent);
    let missed = private("Missed");
    invite(&missed);
    eventually("she is in all of them", || agent.is_connected() && agent.rooms().len() == 6);
    let rooms = [sandbox.lobby_id(), reef, member.to_string(), live.to_string(), missed.to_string()];
    for room in &rooms {
        say(&sandbox, room, "bless @clawdia");
    }
    for room in &rooms {
        let expected = ["bless @clawdia", "bless @alice yourself"];
        eventually("she has answered", || texts(&sandbox, room) == expected);
    }
    eventually("in private, too", || texts(&sandbox, dm.as_str()) == ["hush", "hush yourself"]);
    finish(agent, bot);
}

#[test]
fn conch_asks_for_permission_before_a_change() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let agent = sandbox.connect("conch");
    let bot = start(&agent, conch);
    eventually("conch is in the lobby", || agent.rooms().len() == 1);
    let lobby = sandbox.lobby_id();
    for (decision, outcome) in [("approve", "opened a pull request"), ("deny", "left it at that")] {
        sandbox.clear_records();
        say(&sandbox, &lobby, "@conch improve the README");
        sandbox.wait_for_event("agent-run-permission", SOON).expect("conch asks");
        // The network fails while he waits for the answer.
        lose_connection(&sandbox, &agent);
        eventually("the link is back", || agent.is_connected());
        let asked = sandbox.wait_for_events("agent-run-permission", 2, SOON).remove(1);
        let (run, permission) = (asked["runId"].as_str().unwrap(), asked["permissionId"].as_str().unwrap());
        sandbox.respond_permission(run, permission, decision, None);
        sandbox.wait_for_event("agent-run-complete", SOON).expect("conch comes to an end");

        let said = texts(&sandbox, &lobby);
        assert!(said.last().unwrap().contains(outcome), "{said:?}");
        let record = sandbox.client().runs().get(&run.into()).unwrap();
        let kinds: Vec<_> = record.transcript.iter().map(|entry| entry.kind().to_owned()).collect();
        let expected = [
            "start",
            "tool-call",
            "tool-result",
            "tool-call",
            "permission-request",
            "permission-response",
            "tool-result",
            "stream-start",
            "stream-end",
            "complete",
        ];
        assert_eq!(kinds, expected);
    }
    assert_eq!(sandbox.run_violations(), Vec::<String>::new());
    finish(agent, bot);
}
