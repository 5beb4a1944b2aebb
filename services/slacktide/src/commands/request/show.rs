//! Shows the state of a request, from the exchange.

use std::collections::BTreeMap;

use requests::status::Inconsistency;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::cursor::Scalar;
use schemas::request::Request;
use serde::Serialize;
use slacktide_client::RequestId;
use slacktide_client::status::Status;

use super::step::StepItem;
use super::{client, failed, render};
use crate::cli::request::At;
use crate::failure::Outcome;
use crate::output::{self, Report, Time, View};
use crate::settings::{CommercialFile, load};

pub(super) async fn run(text: &str, personal: bool, at: &At) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&at.config.config)?;
    let client = client(&loaded).await?;
    let found = async {
        let id = client.find(text).await?;
        let request = client.filed(&id).await?;
        let status = client.status(&id).await?;
        Ok((id, request, status))
    };
    let found = found.await;
    client.close().await;
    let (id, request, status) = found.map_err(failed)?;
    output::report(&RequestReport::new(&id, &request, &status, personal), at.json)?;
    Ok(Exit::Done)
}

/// The state of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "request show")]
pub(in crate::commands) struct RequestReport {
    id: String,
    kind: String,
    /// The arguments; with `--personal` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<BTreeMap<String, Scalar>>,
    /// All steps, in the order of a request's life. The last one is the current state.
    steps: Vec<StepItem>,
    /// Its position in the queue; 1 is the next.
    place: Option<u64>,
    /// When its answer is expected.
    forecast: Option<Time>,
    /// When its cancellation was stored, by the exchange's clock.
    cancel_requested_at: Option<Time>,
    /// Whether its deadline has passed without an outcome.
    is_overdue: bool,
    /// Rows withheld from its answer.
    withheld: u64,
    /// The messages on its subjects that do not belong to it: `cancel`, `progress`, `reply`, `confirm`.
    inconsistencies: Vec<String>,
    #[serde(skip)]
    view: View,
}

impl RequestReport {
    /// Creates it from the request and its status. `personal` includes the arguments.
    pub(in crate::commands) fn new(
        id: &RequestId,
        request: &Request,
        status: &Status,
        personal: bool,
    ) -> Self {
        let arguments = || {
            let all = request.arguments.iter();
            all.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let inconsistency = |found: &Inconsistency| match found {
            Inconsistency::Cancel => "cancel".to_owned(),
            Inconsistency::Progress => "progress".to_owned(),
            Inconsistency::Reply => "reply".to_owned(),
            Inconsistency::Confirm => "confirm".to_owned(),
        };
        Self {
            id: id.to_string(),
            kind: request.kind.clone(),
            arguments: personal.then(arguments),
            steps: status.steps.iter().map(StepItem::from).collect(),
            place: status.place,
            forecast: status.forecast.map(Time),
            cancel_requested_at: status.cancel_requested_at.map(Time),
            is_overdue: status.overdue,
            withheld: status.withheld,
            inconsistencies: status.inconsistencies.iter().map(inconsistency).collect(),
            view: render::status(id, request, status, personal),
        }
    }
}

impl Report for RequestReport {
    fn view(&self) -> View {
        self.view.clone()
    }
}
