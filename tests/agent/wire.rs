//! Compares every sent byte with what the platform's own clients send.

use std::time::Duration;

use crate::common::{SOON, ScriptedServer, scripted, watchdog};
use crustocean::{Message, MessageId, Outgoing, model::MessageType};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn every_frame_is_what_the_official_client_sends() {
    let _watchdog = watchdog(LIMIT);
    let server = ScriptedServer::start(|conn| {
        // Engine.IO 4 over WebSocket: the path, the query, and no offered extension.
        let request = conn.request.clone();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/socket.io/"));
        assert_eq!(request.query, "EIO=4&transport=websocket");
        assert_eq!(request.header("sec-websocket-extensions"), None);
        assert!(request.header("user-agent").unwrap().starts_with("crustocean-rust/"));
        conn.open(Duration::from_secs(25), Duration::from_secs(20));

        conn.expect_text(r#"40{"token":"session-1"}"#);
        // Pings are answered in every state. Here no other packet can come between.
        conn.send_text("2");
        conn.expect_text("3");
        conn.send_text(r#"40{"sid":"abc"}"#);

        conn.expect_text(r#"42["join-agency",{"agencyId":"ag-1"}]"#);
        conn.send_event("agency-joined", json!({"agencyId": "ag-1", "members": []}));
        conn.expect_text(r#"42["send-message",{"agencyId":"ag-1","content":"Hello"}]"#);
        conn.expect_text(
            r#"42["send-message",{"agencyId":"ag-1","content":"Hello","type":"tool_result","metadata":{"skill":"greeter"}}]"#,
        );
        conn.expect_text(
            r#"42["edit-message",{"agencyId":"ag-1","messageId":"msg-1","content":"Hello again"}]"#,
        );

        let reply = conn.expect_event("send-message");
        let guard = &reply["metadata"]["loop_guard"];
        assert_eq!((&reply["agencyId"], &reply["content"]), (&json!("ag-1"), &json!("hi")));
        assert_eq!(
            (&guard["hop"], &guard["max_hops"], &guard["status"]),
            (&json!(3), &json!(8), &json!("active"))
        );
        assert_eq!(guard["interaction_id"], "lg_1_abcdef");

        conn.expect_text(r#"42["join-agency",{"agencyId":"dm-1"}]"#);
        conn.send_event("agency-joined", json!({"agencyId": "dm-1", "members": []}));
        conn.expect_text(r#"42["send-message",{"agencyId":"dm-1","content":"psst"}]"#);
        conn.expect_text("41");
    });
    server.on("GET", "/api/dm", |_| {
        crate::common::Response::json(
            200,
            json!([{"agencyId": "dm-1", "participant": {"username": "alice"}}]),
        )
    });

    let agent = scripted(&server);
    let room = agent.join("lobby").unwrap();
    agent.set_home(&room).unwrap();
    agent.send("  Hello\n").unwrap();
    agent.send(Outgoing::new("Hello").kind(MessageType::ToolResult).with("skill", "greeter")).unwrap();
    room.edit(&MessageId::from("msg-1"), "Hello again").unwrap();
    let message: Message = serde_json::from_value(json!({
        "id": "msg-2", "agency_id": "ag-1", "content": "@mybot", "created_at": "2026-03-05T10:00:00.000Z",
        "sender_id": "usr-1", "sender_username": "alice",
        "metadata": "{\"loop_guard\":{\"interaction_id\":\"lg_1_abcdef\",\"hop\":2,\"max_hops\":8,\"status\":\"active\"}}",
    }))
    .unwrap();
    agent.reply(&message, "hi").unwrap();
    let dm = agent.join_dms().unwrap().remove(0);
    dm.send("psst").unwrap();
    agent.close().unwrap();

    let requests = server.requests();
    // The upgrade request is sent at the same time.
    let exchange = requests.iter().find(|request| !request.path.starts_with("/socket.io")).unwrap();
    assert_eq!((exchange.method.as_str(), exchange.path.as_str()), ("POST", "/api/auth/agent"));
    assert_eq!(exchange.json(), json!({"agentToken": "sk_x"}));
    assert_eq!(exchange.header("authorization"), None, "the exchange needs none");
    let list = requests.iter().find(|request| request.path == "/api/agencies").unwrap();
    assert_eq!(list.header("authorization"), Some("Bearer session-1"));
    server.finish(SOON);
}
