//! The first connection: the agent's token is exchanged while the socket is being opened. Neither needs the other
//! before CONNECT, so a server far away is waited for once.

use std::sync::Arc;
use std::thread;

use crate::error::{Error, Result};
use crate::net::{CancelToken, Http};
use crate::rest::AgentSession;
use crate::socket::{Opened, Target, TransportMemory};
use crate::token::AgentToken;

/// Little: it runs only our own code, a few calls deep, besides TLS handshakes.
const STACK: usize = 256 << 10;

/// The agent's session, and the connection that was opened meanwhile or why there is none. Nothing at all if no thread
/// could be had for it, or there is a proxy: wrong credentials must not be tried there twice. `stop` ends both.
///
/// # Errors
/// Those of the exchange, at once: the connection is not waited for, and ended.
pub(super) fn exchange_and_open(
    http: Http,
    token: AgentToken,
    target: &Target,
    stop: Option<&CancelToken>,
) -> Result<(Arc<AgentSession>, Option<Result<Opened>>)> {
    if target.dialer.has_proxy(&target.url)? {
        return Ok((AgentSession::exchange(http, token)?, None));
    }
    let cancel = stop.map_or_else(CancelToken::default, CancelToken::child);
    thread::scope(|scope| {
        let open = || Opened::open(target, &TransportMemory::default(), &cancel);
        let builder = thread::Builder::new().name("crustocean-dial".to_owned()).stack_size(STACK);
        let opening = builder.spawn_scoped(scope, open);
        let account = AgentSession::exchange(http, token).inspect_err(|_| cancel.cancel());
        // If it panicked (a logger, say) the connection is opened once more, on this thread.
        let opened = opening.ok().and_then(|thread| thread.join().ok());
        match account {
            Ok(account) => {
                // Now there is one secret more.
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
    })
}
