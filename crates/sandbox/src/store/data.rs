//! All collections together.

use std::sync::{Arc, Mutex};

use crate::store::accounts::Accounts;
use crate::store::agencies::Agencies;
use crate::store::claims::Claims;
use crate::store::custom_commands::CustomCommands;
use crate::store::hooks::Hooks;
use crate::store::run_rules::RunRules;
use crate::store::runs::Runs;
use crate::store::subscriptions::Subscription;
use crate::store::tokens::Tokens;

/// All data that a real Crustocean keeps in its database.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) accounts: Accounts,
    pub(crate) tokens: Tokens,
    pub(crate) agencies: Agencies,
    pub(crate) runs: Runs,
    pub(crate) run_rules: RunRules,
    pub(crate) commands: CustomCommands,
    pub(crate) hooks: Hooks,
    pub(crate) claims: Claims,
    pub(crate) subscriptions: Vec<Subscription>,
}

impl Data {
    /// Starts to record changes, for the journal.
    pub(crate) fn track(&mut self) {
        self.agencies.track();
        self.runs.track();
    }
}

/// The data, which outlives the server: `Sandbox::suspend` returns it.
pub(crate) type SharedData = Arc<Mutex<Data>>;
