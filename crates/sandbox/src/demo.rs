//! Somebody to talk to and somebody to talk as, for a start without a single request.

use crate::app::App;
use crate::error::ApiResult;
use crate::ids;
use crate::realtime::emit;
use crate::store::signup::{create_agent, create_user};

/// The user `demo` and the agent `mybot`.
pub(crate) const USER: &str = "demo";
/// The password of every user that is made without one.
pub(crate) const PASSWORD: &str = "crustocean";
pub(crate) const AGENT: &str = "mybot";
/// Makes the two if they are not there, and gives them their tokens; does nothing without a demo.
pub(crate) fn restore(app: &App) -> ApiResult<()> {
    let Some(tokens) = app.demo() else { return Ok(()) };
    {
        let mut data = app.data();
        let user = match data.accounts.find(USER) {
            Some(known) => known.id.clone(),
            None => create_user(&mut data, USER, PASSWORD, "Demo")?,
        };
        data.tokens.keep_personal(&user, &tokens.user);
        let agent = match data.accounts.find(AGENT) {
            Some(known) => known.id.clone(),
            None => create_agent(&mut data, AGENT, Some(&user), None, true)?.0,
        };
        if let Some(agent) = &mut data.accounts.get_mut(&agent)?.agent {
            agent.token_hash = ids::sha256(&tokens.agent);
        }
    }
    emit::lobby_changed(app);
    Ok(())
}
