//! Traces and rich messages with the official server.

use std::time::Duration;

use crustocean::{
    Outgoing,
    model::{Color, Span, Style},
};
use crustocean_interop::{LOBBY, Server, in_lobby, json, next_message, watchdog};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_trace_and_colours_are_received_as_sent() {
    let _watchdog = watchdog(LIMIT);
    for shape in ["object", "string"] {
        let server = Server::start(json!({"metadataAs": shape}));
        let agent = in_lobby(&server);
        let room = agent.rooms().remove(0);
        let trace = room.trace();
        assert_eq!(trace.command("/echo 10").unwrap().content, "10");
        assert!(!trace.command("/dance").unwrap().ok);
        trace.step("think", || ());
        let mut report = trace.finish();
        for step in &mut report.steps {
            step.duration = Some(Duration::from_millis(12));
        }
        report.duration = Some(Duration::from_millis(40));
        let steps = report.steps.clone();
        let spans = [Span::new("so: "), Span::colored("10", Color::ThemeWarning)];
        let style = Style::new().sender_color("#00aaff");
        room.send(Outgoing::from_spans(spans.clone()).trace(report).style(style.clone())).unwrap();

        let sent = server.wait_events(SOON, 3, "send-message");
        let metadata = json!({
            "trace": [
                {"step": "/echo 10", "duration": "12ms", "status": "done"},
                {"step": "/dance", "duration": "12ms", "status": "error"},
                {"step": "think", "duration": "12ms", "status": "done"},
            ],
            "duration": "40ms",
            "style": {"sender_color": "#00aaff"},
            "content_spans": [{"text": "so: "}, {"text": "10", "color": "theme-warning"}],
        });
        assert_eq!(sent[2]["args"], json!([{"agencyId": LOBBY, "content": "so: 10", "metadata": metadata}]));
        let heard = next_message(&agent.events(), "so: 10").metadata;
        assert_eq!((heard.trace(), heard.content_spans()), (steps, spans.to_vec()), "as {shape}");
        assert_eq!((heard.duration(), heard.style()), (Some(Duration::from_millis(40)), Some(style)));
    }
}

#[test]
fn a_long_text_arrives_in_parts_split_between_words() {
    let _watchdog = watchdog(LIMIT);
    let server = Server::start(json!({}));
    let agent = in_lobby(&server);
    let code = format!("so:\n\n```rust\n{}```", "let x = 1;\n".repeat(1_000));
    let parts: Vec<_> =
        agent.rooms()[0].post(Outgoing::new(&code).skill("coding")).unwrap().into_iter().collect();
    let sent = server.wait_events(SOON, 2, "send-message");
    assert_eq!((parts.len(), sent.len()), (2, 2));
    for (part, sent) in parts.iter().zip(&sent) {
        assert_eq!(part.content, sent.payload()["content"].as_str().unwrap());
        assert!(part.content.chars().count() <= 8_000 && part.content.matches("```").count() == 2);
    }
    assert!(parts[1].content.starts_with("```rust\nlet x = 1;\n") && parts[1].content.ends_with("\n```"));
    assert_eq!((parts[0].metadata.skill().as_deref(), parts[1].metadata.skill()), (Some("coding"), None));
    let lines: usize = parts.iter().map(|part| part.content.matches("let x = 1;").count()).sum();
    assert_eq!(lines, 1_000);
}
