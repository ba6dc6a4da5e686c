//! The user and the agent of the demo, with which you can try a bot without any request.

use crate::app::App;
use crate::error::ApiResult;
use crate::ids;
use crate::realtime::emit;
use crate::store::signup::{create_agent, create_user};

/// The user `demo` and the agent `mybot`.
pub(crate) const USER: &str = "demo";
/// The password of users that are created without one.
pub(crate) const PASSWORD: &str = "crustocean";
pub(crate) const AGENT: &str = "mybot";
/// Creates the user and the agent if they are missing, and restores their tokens. Does nothing without a demo.
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
