//! `/api/runs` and the runs of an agency.

use super::paged::identity;
use super::{Client, Paged};
use crate::error::Result;
use crate::model::{AgencyId, RunId, RunInfo, RunRecord, Transcript, answer};

/// The runs of agents, with their transcripts. Returned by [`Client::runs`].
///
/// # Examples
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let lobby = client.agencies().lookup("lobby")?;
/// for run in client.runs().in_agency(&lobby.id).iter().take(10) {
///     let run = client.runs().get(&run?.id)?;
///     println!("{}: {} steps", run.info.agent, run.transcript.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Runs<'a> {
    /// Lists the runs in an agency, in the server's order.
    pub fn in_agency(self, id: &AgencyId) -> Paged<'a, RunInfo> {
        let path = ["agencies", id.as_str(), "runs"];
        Paged::new(self.client, &path, "runs", None, |run: &RunInfo| identity(run.id.as_str(), run))
    }

    /// Returns a run with its transcript. A message of a run has the run's id in its metadata, under `run_id`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such run, or if you may not read it.
    pub fn get(self, id: &RunId) -> Result<RunRecord> {
        self.client.get(["runs", id.as_str()])?.read(|json| {
            let Transcript { transcript } = answer::one(json, "run")?;
            Ok(RunRecord { info: answer::one(json, "run")?, transcript })
        })
    }
}
