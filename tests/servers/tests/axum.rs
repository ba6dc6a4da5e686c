//! A receiver behind axum, with the code of the documentation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure here is a failed test")]

mod documented;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use crustocean::webhook::Receiver;
use tokio::task::spawn_blocking;

// shown
async fn receive(
    State(receiver): State<Receiver>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // Handlers may block.
    let handle = move || receiver.handle(method.as_str(), uri.path(), &headers, &body);
    let answer = spawn_blocking(handle).await.expect("handlers are called safely");
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(answer.body.into()).expect("a status and headers of the receiver's")
}
// end

fn router(receiver: Receiver) -> Router {
    // shown
    Router::new().fallback(receive).with_state(receiver)
    // end
}

#[test]
fn a_command_is_answered() {
    documented::is_shown(include_str!("axum.rs"), "With `axum`");
    let receiver = Receiver::new().command("/hook", "ping", |call| format!("pong {}", call.raw_args));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.block_on(async {
        tokio::spawn(async { axum::serve(listener, router(receiver)).await });
        let asked = spawn_blocking(move || {
            let body = r#"{"agencyId":"a","command":"ping","rawArgs":"x","sender":{"username":"bob"}}"#;
            let answer = ureq::post(format!("http://{address}/hook")).send(body).unwrap();
            answer.into_body().read_to_string().unwrap()
        });
        assert_eq!(asked.await.unwrap(), r#"{"content":"pong x"}"#);
    });
}
