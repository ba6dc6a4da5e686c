//! The first connection. One thread exchanges the agent's token while another thread opens the socket. The two steps do
//! not need each other before the CONNECT packet, so the waits for a distant server overlap.

use std::sync::{Arc, OnceLock};
use std::thread;

use crate::Stop;
use crate::agent::close;
use crate::agent::closing::Closing;
use crate::agent::handle::AgentHandle;
use crate::agent::history::Delivery;
use crate::agent::inner::AgentInner;
use crate::agent::listeners::Listeners;
use crate::agent::memory::Remember;
use crate::agent::options::AgentOptions;
use crate::agent::respond::asks::Asks;
use crate::agent::rooms::{Following, Rooms, RoomsHost};
use crate::agent::run::OpenRuns;
use crate::agent::send::long_send_lock::LongSendLock;
use crate::agent::send::metadata_support::MetadataSupport;
use crate::agent::thinking::ThinkingIndicators;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::net::{CancelToken, Http};
use crate::rest::{AgentSession, Client};
use crate::socket::{Limits, Opened, Session, Target, TransportMemory};
use crate::sync::lock::Mutex;
use crate::threads;
use crate::token::AgentToken;

/// Returns the agent's session, and the result of opening the connection meanwhile. The second value is `None` if the
/// thread could not be started or has panicked, or if there is a proxy: the crate must not try wrong proxy credentials
/// twice. `stop` ends both steps.
///
/// # Errors
/// The error of the exchange. This error also cancels the opening of the connection at once.
fn exchange_and_open(
    http: Http,
    token: AgentToken,
    target: &Target,
    stop: Option<&CancelToken>,
) -> Result<(Arc<AgentSession>, Option<Result<Opened>>)> {
    if target.dialer.has_proxy(&target.url)? {
        return Ok((AgentSession::exchange(http, token)?, None));
    }
    let cancel = stop.map_or_else(CancelToken::default, CancelToken::child);
    let mut opened = None;
    let open: Box<dyn FnOnce() + Send + '_> =
        Box::new(|| opened = Some(Opened::open(target, &TransportMemory::default(), &cancel)));
    let account = thread::scope(|scope| {
        let opening = threads::short_lived("crustocean-dial").spawn_scoped(scope, open);
        let account = AgentSession::exchange(http, token).inspect_err(|_| cancel.cancel());
        // If the thread has panicked (for example, in a logger), this thread opens the connection again later.
        let _ = opening.map(|thread| thread.join());
        account
    });
    match account {
        Ok(account) => {
            // Removes the secrets again, because the exchange has added the session's token to them.
            let clean = |error: Error| error.cleaned(|text| target.secrets.remove_from(text));
            Ok((account, opened.map(|opened| opened.map_err(clean))))
        }
        Err(error) => {
            if let Some(Ok(opened)) = opened {
                opened.discard();
            }
            Err(error)
        }
    }
}

/// Connects an agent. Returns its first handle.
pub(super) fn open(config: &Config, options: AgentOptions, token: AgentToken) -> Result<AgentHandle> {
    options.transport.check()?;
    let url = config.url()?;
    let memory = options.remember.as_ref().map(Remember::open).transpose()?;
    let dialer = config.dialer()?;
    let http = config.http_with(dialer.clone())?;
    let secrets = http.secrets().clone();
    let target = Target {
        dialer,
        url,
        user_agent: config.http.user_agent.clone(),
        dial_timeout: options.handshake_timeout,
        transport: options.transport,
        secrets,
    };
    let stop = config.stop.as_ref();
    let cancel = stop.map(Stop::token);
    let (account, connection) = exchange_and_open(http.clone(), token, &target, cancel)?;
    let me = account.user();
    if let Some(memory) = &memory {
        memory.belong_to(&me, options.max_age)?;
    }
    let client = Client::for_agent(http, Arc::clone(&account));
    let rooms = Arc::new(Rooms::default());
    let thinking_indicators = Arc::new(ThinkingIndicators::default());
    let host = RoomsHost {
        session: account,
        rooms: Arc::clone(&rooms),
        thinking_indicators: Arc::clone(&thinking_indicators),
        join_timeout: options.join_timeout,
        unanswered: Mutex::default(),
    };
    let limits = Limits { events: options.max_queued_events, bytes: options.max_queued_bytes };
    let name = format!("@{}", me.username);
    let session = Session::open(&name, target, Arc::new(host), limits, options.policy, cancel, connection)?;
    let inner = Arc::new(AgentInner {
        delivery: Delivery::new(session.ready(), session.log().clone(), memory.clone()),
        session,
        client,
        me,
        rooms,
        following: Following::default(),
        joining: Mutex::new(()),
        metadata_support: MetadataSupport::default(),
        long_send_lock: LongSendLock::default(),
        runs: OpenRuns::default(),
        thinking_indicators,
        own_results: Mutex::default(),
        asks: Asks::default(),
        taken: Mutex::default(),
        closing: Closing::default(),
        listeners: Arc::new(Listeners::new(options.max_queued_events, options.max_queued_bytes)),
        home: OnceLock::new(),
        memory,
        options,
    });
    let handle = AgentHandle::new(inner);
    if let Some(stop) = stop {
        close::close_on(stop, &handle);
        if stop.is_stopped() {
            return Err(Error::stopped_early());
        }
    }
    Ok(handle)
}
