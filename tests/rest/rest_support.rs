//! A server that answers a call as the test says and records the requests. All tests of REST share it.
#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use crustocean::{
    Client, Error, ErrorKind, PersonalAccessToken,
    rest::{ClientBuilder, HookClient},
};

use crate::common::{Request, Response, ScriptedServer, Watchdog, watchdog};

pub const PAT: &str = "cru_4f8a00112233445566778899aabbccddeeff001122334455";
pub const HOOK_KEY: &str = "6b657931";

pub struct Api {
    server: ScriptedServer,
    answer: Arc<Mutex<Response>>,
    _watchdog: Watchdog,
}

impl Api {
    pub fn new() -> Api {
        let server = ScriptedServer::start(|_| {});
        let answer = Arc::new(Mutex::new(Response::text(200, "{}")));
        let current = Arc::clone(&answer);
        server.on_all(move |_| current.lock().unwrap().clone());
        Api { server, answer, _watchdog: watchdog(std::time::Duration::from_secs(60)) }
    }

    pub fn client_url(&self) -> String {
        self.server.url()
    }

    pub fn builder(&self) -> ClientBuilder {
        Client::builder().api_url(self.server.url())
    }

    pub fn client(&self) -> Client {
        self.builder().build(PAT.parse::<PersonalAccessToken>().unwrap()).unwrap()
    }

    pub fn hook(&self) -> HookClient {
        HookClient::builder().api_url(self.server.url()).build(HOOK_KEY.parse().unwrap()).unwrap()
    }

    /// Sets the response from now on.
    pub fn answers(&self, answer: Response) {
        *self.answer.lock().unwrap() = answer;
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// Checks a call that the server answers with `json`: it must succeed, and must have sent `line` (method, path and query)
    /// with `body`, byte for byte. Also checks the headers.
    #[track_caller]
    pub fn sends<T>(
        &self,
        line: &str,
        body: &str,
        json: &str,
        call: impl FnOnce(&Client) -> Result<T, Error>,
    ) -> T {
        self.answers(Response::text(200, json).header("Content-Type", "application/json; charset=utf-8"));
        let result = call(&self.client());
        let request = self.only_request(line, body);
        assert_eq!(request.header("authorization"), Some(format!("Bearer {PAT}").as_str()), "{line}");
        assert_eq!(request.header("x-crustocean-hook-key"), None);
        result.unwrap_or_else(|error| panic!("{line}: {error:?}"))
    }

    /// Does the same with the client of a hook.
    #[track_caller]
    pub fn hook_sends<T>(
        &self,
        line: &str,
        body: &str,
        json: &str,
        call: impl FnOnce(&HookClient) -> Result<T, Error>,
    ) -> T {
        self.answers(Response::text(200, json).header("Content-Type", "application/json"));
        let result = call(&self.hook());
        let request = self.only_request(line, body);
        assert_eq!(request.header("x-crustocean-hook-key"), Some(HOOK_KEY), "{line}");
        assert_eq!(request.header("authorization"), None);
        result.unwrap_or_else(|error| panic!("{line}: {error:?}"))
    }

    /// Checks the same call with several equivalent responses.
    #[track_caller]
    pub fn reads<T: Debug>(
        &self,
        answers: &[&str],
        call: impl Fn(&Client) -> Result<T, Error>,
        check: impl Fn(T),
    ) {
        for json in answers {
            self.answers(Response::text(200, *json).header("Content-Type", "application/json"));
            check(call(&self.client()).unwrap_or_else(|error| panic!("{json}: {error:?}")));
        }
    }

    /// Checks a call that is refused before it is sent, with this text in its error.
    #[track_caller]
    pub fn refuses<T: Debug>(&self, rule: &str, call: impl FnOnce(&Client) -> Result<T, Error>) {
        let before = self.requests().len();
        let error = call(&self.client()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(rule), "{error}");
        assert_eq!(self.requests().len(), before, "nothing is sent");
    }

    #[track_caller]
    fn only_request(&self, line: &str, body: &str) -> Request {
        let requests = self.requests();
        let request = requests.last().unwrap_or_else(|| panic!("{line}: nothing was sent"));
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        assert_eq!(format!("{} {}{query}", request.method, request.path), line);
        assert_eq!(String::from_utf8_lossy(&request.body), body, "{line}");
        let json = (!body.is_empty()).then_some("application/json");
        assert_eq!(request.header("content-type"), json, "{line}");
        assert_eq!(request.header("accept"), Some("application/json"), "{line}");
        request.clone()
    }
}
