use proptest::prelude::*;

use super::*;
use crate::model::{Color, Metadata, TraceStep};

fn sent(message: impl Into<Outgoing>) -> String {
    let agency = AgencyId::from("ag-1");
    serde_json::to_string(&message.into().payload(&agency).unwrap()).unwrap()
}

fn metadata(message: &Outgoing) -> Value {
    serde_json::to_value(&message.metadata).unwrap()
}

#[test]
fn leaves_out_what_is_not_set() {
    assert_eq!(sent(" Hello\n"), r#"{"agencyId":"ag-1","content":"Hello"}"#);
    let rich = Outgoing::new("Hello").kind(MessageType::ToolResult).with("skill", "greeter");
    assert_eq!(
        sent(rich),
        r#"{"agencyId":"ag-1","content":"Hello","type":"tool_result","metadata":{"skill":"greeter"}}"#
    );
}

#[test]
fn wants_some_text() {
    assert!(Outgoing::new(" \n").payload(&AgencyId::from("ag-1")).is_err());
}

#[test]
fn says_how_it_looks() {
    let steps = [
        TraceStep::new("/notes").duration(Duration::from_millis(12)),
        TraceStep { status: None, ..TraceStep::new("x") }.detail("more"),
    ];
    let message = Outgoing::from_spans([
        Span::new(" "),
        Span::new(" build "),
        Span::colored("failed ", Color::ThemeError),
        Span::new("\n"),
    ])
    .trace(steps)
    .duration(Duration::from_millis(1340))
    .skill("ci")
    .style(Style::new().sender_color(Color::ThemeAccent).content_color("#ff8800"))
    .agent_log();
    let expected = serde_json::json!({"agencyId": "ag-1", "content": "build failed", "metadata": {
        "trace": [{"step": "/notes", "duration": "12ms", "status": "done"}, {"step": "x", "detail": "more"}],
        "duration": "1340ms",
        "skill": "ci",
        "style": {"sender_color": "theme-accent", "content_color": "#ff8800"},
        "content_spans": [{"text": "build "}, {"text": "failed", "color": "theme-error"}],
        "agent_log": true,
    }});
    assert_eq!(serde_json::from_str::<Value>(&sent(message)).unwrap(), expected);
}

#[test]
fn spans_are_the_text() {
    let agency = AgencyId::from("ag-1");
    assert!(Outgoing::new("a b").spans(["a ", "b"]).payload(&agency).is_ok());
    assert!(Outgoing::new("a b").spans(["a", "b"]).payload(&agency).is_err());
    assert!(Outgoing::from_spans([(" ", Color::Theme)]).payload(&agency).is_err());
    // The second call of `spans` replaces the first one.
    assert!(Outgoing::new("a").spans(["b"]).spans(["a"]).payload(&agency).is_ok());
}

#[test]
fn a_guard_set_by_hand_stays() {
    let question =
        r#"{"id":"m","agency_id":"a","content":"","created_at":"x","metadata":{"loop_guard":{"hop":4}}}"#;
    let question: Message = serde_json::from_str(question).unwrap();
    let next = Outgoing::new("x").in_reply_to(&question);
    assert_eq!(metadata(&next)["loop_guard"]["hop"], 5);
    let own = Outgoing::new("x").with("loop_guard", 1).in_reply_to(&question);
    assert_eq!(metadata(&own)["loop_guard"], 1);
}

fn color() -> impl Strategy<Value = Option<Color>> {
    proptest::option::of("theme(-[a-z]{1,7})?|#[0-9a-f]{6}|\\PC*".prop_map(Color::from))
}

fn step() -> impl Strategy<Value = TraceStep> {
    let duration = proptest::option::of((0..10_000_000u64).prop_map(Duration::from_millis));
    let status = proptest::option::of("done|error|ok|\\PC*");
    (any::<String>(), duration, status, proptest::option::of(any::<String>())).prop_map(
        |(step, duration, status, detail)| {
            let status = status.map(Into::into);
            TraceStep { duration, status, detail, ..TraceStep::new(step) }
        },
    )
}

proptest! {
    #[test]
    fn is_read_as_it_was_written(
        steps in proptest::collection::vec(step(), 0..5),
        spans in proptest::collection::vec((any::<String>(), color()), 0..5),
        (sender, content) in (color(), color()),
        took in 0..1_000_000u64,
        skill: String,
        as_string: bool,
    ) {
        let style = Style { sender_color: sender, content_color: content };
        let took = Duration::from_millis(took);
        let spans = spans.into_iter().map(|(text, color)| {
            color.map_or_else(|| Span::new(text.clone()), |color| Span::colored(text.clone(), color))
        });
        let message = Outgoing::new("").trace(steps.clone()).duration(took).skill(&skill).style(style.clone());
        let message = message.spans(spans).agent_log();
        let object = metadata(&message);
        let json = if as_string { Value::String(object.to_string()) } else { object };
        let read: Metadata = serde_json::from_value(json).unwrap();
        prop_assert_eq!(read.trace(), steps);
        prop_assert_eq!((read.duration(), read.skill()), (Some(took), Some(skill)));
        prop_assert_eq!(read.style(), Some(style));
        prop_assert_eq!(joined(&read.content_spans()), message.text());
        prop_assert_eq!(read.content_spans(), message.spans.clone());
        prop_assert!(read.is_agent_log() && !read.is_heartbeat() && !read.is_from_hook());
        prop_assert_eq!(read.run_id(), None);
        if !message.text().is_empty() {
            prop_assert!(message.payload(&"ag-1".into()).is_ok());
        }
    }
}

/// Any text can be a colour.
#[test]
fn odd_colours_are_read_as_they_were_written() {
    for text in ["\"\"", "\"red\"", "null", "7", ""] {
        let message = Outgoing::new("x").style(Style::new().content_color(text));
        let read: Metadata = serde_json::from_value(metadata(&message)).unwrap();
        assert_eq!(read.style().unwrap().content_color, Some(Color::from(text)), "{text}");
    }
}
