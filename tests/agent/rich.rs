//! Messages with more than text, and traces.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::common::{SOON, TestSandbox, wait_for_message, watchdog};
use crustocean::{
    ErrorKind, Outgoing,
    model::{Color, MessageType, Span, Style, TraceStatus, TraceStep},
};
use crustocean_sandbox::Sandbox;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_rich_message_is_decoded_as_it_was_sent() {
    let _watchdog = watchdog(LIMIT);
    for as_string in [false, true] {
        let sandbox = TestSandbox::with(Sandbox::builder().metadata_as_string(as_string));
        let (larry, ben) = (sandbox.in_lobby("larry"), sandbox.in_lobby("ben"));
        let spans = [Span::new("ETH is at "), Span::colored("3000", Color::ThemeSuccess)];
        let style = Style::new().sender_color(Color::ThemePrimary).content_color("#ff8800");
        let steps = [TraceStep::new("/price ETH").duration(Duration::from_millis(85)).detail("cached")];
        let message = Outgoing::from_spans(spans.clone())
            .kind(MessageType::ToolResult)
            .trace(steps.clone())
            .duration(Duration::from_millis(340))
            .skill("prices")
            .style(style.clone())
            .agent_log()
            .with("mood", "good");
        larry.send(message).unwrap();

        let heard = wait_for_message(&ben.events(), "ETH");
        assert_eq!((heard.content.as_str(), &heard.kind), ("ETH is at 3000", &MessageType::ToolResult));
        let metadata = &heard.metadata;
        assert_eq!(metadata.content_spans(), spans, "as string: {as_string}");
        assert_eq!(metadata.trace(), steps);
        assert_eq!(metadata.duration(), Some(Duration::from_millis(340)));
        assert_eq!((metadata.skill().as_deref(), metadata.style()), (Some("prices"), Some(style)));
        assert!(metadata.is_agent_log() && !metadata.is_heartbeat() && !metadata.is_from_hook());
        assert_eq!((metadata.get("mood"), metadata.run_id()), (Some("good".into()), None));

        let sent = sandbox.wait_for_event("send-message", SOON).unwrap();
        let expected = json!({
            "trace": [{"step": "/price ETH", "duration": "85ms", "status": "done", "detail": "cached"}],
            "duration": "340ms",
            "skill": "prices",
            "style": {"sender_color": "theme-primary", "content_color": "#ff8800"},
            "content_spans": [{"text": "ETH is at "}, {"text": "3000", "color": "theme-success"}],
            "agent_log": true,
            "mood": "good",
        });
        assert_eq!(sent["metadata"], expected);
    }
}

#[test]
fn spans_that_differ_from_the_text_are_not_sent() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let error = larry.send(Outgoing::new("one thing").spans(["another"])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[test]
fn a_trace_records_commands_and_anything_else() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let larry = sandbox.in_lobby("larry");
    let room = larry.rooms().remove(0);

    let trace = room.trace();
    let said = trace.command("/echo 42").unwrap();
    assert_eq!(said.content, "42");
    assert!(!trace.command(" /dance ").unwrap().ok);
    assert!(trace.command("no command").is_err());
    let limit = Duration::from_millis(50);
    assert!(trace.run(&room.command("/hang").timeout(limit)).unwrap_err().is_timeout());
    assert!(trace.run(&room.command("/slow 9000 x").late(Duration::ZERO)).unwrap().pending);
    let sum = trace.step("add", || {
        std::thread::sleep(Duration::from_millis(20));
        trace.step("within", || 40) + 2
    });
    assert_eq!(sum, 42);
    assert_eq!(trace.try_step("parse", || "7".parse::<u8>()), Ok(7));
    trace.try_step("parse badly", || "x".parse::<u8>()).unwrap_err();
    catch_unwind(AssertUnwindSafe(|| trace.step("panic", || panic!("on purpose")))).unwrap_err();
    std::thread::scope(|scope| {
        scope.spawn(|| trace.step("elsewhere", || ()));
    });
    trace.record(TraceStep::new("by hand").status("skipped"));
    larry.send(Outgoing::new("done").trace(trace)).unwrap();

    let heard = wait_for_message(&larry.events(), "done");
    let steps = heard.metadata.trace();
    let listed: Vec<_> =
        steps.iter().map(|step| (step.step.as_str(), step.status.as_ref().unwrap().as_str())).collect();
    let expected = [
        ("/echo 42", "done"),
        ("/dance", "error"),
        ("no command", "error"),
        ("/hang", "error"),
        ("/slow 9000 x", "pending"),
        ("add", "done"),
        ("within", "done"),
        ("parse", "done"),
        ("parse badly", "error"),
        ("panic", "error"),
        ("elsewhere", "done"),
        ("by hand", "skipped"),
    ];
    assert_eq!(listed, expected);
    assert!(steps.iter().all(|step| step.duration.is_some() == (step.step != "by hand")));
    assert!(steps[3].duration >= Some(limit) && steps[5].duration >= Some(Duration::from_millis(20)));
    assert!(heard.metadata.duration() >= Some(limit + Duration::from_millis(20)));
    assert!(steps[1].is_error() && steps[0].status == Some(TraceStatus::Done));
    // The command is silent, like all commands of a trace.
    let sent = sandbox.wait_for_events("send-message", 4, SOON);
    assert!(sent.iter().all(|command| command["silent"] == true), "{sent:?}");
}
