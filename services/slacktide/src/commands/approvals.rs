//! `slacktide approvals list|grant|refuse`: officers of the bureau decide about pending requests.
//!
//! An officer signs with their own key, and the decision is permanent: the exchange accepts one for each officer and
//! request. The reason is for the bureau's records; the recipient sees the outcome only.

use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::port::Stream;
use exchange::{AuditExchange, Exchange, Filed, RequestExchange, Stored};
use jiff::Timestamp;
use requests::approval::ApprovalState;
use requests::kind::Kinds;
use runtime::config::{Loaded, Secret};
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::approval::{Approval, Decision};
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::name::{OfficerName, RecipientName};
use schemas::request::{Request, RequestId};
use schemas::sign::SigningKey;
use serde::Serialize;

use crate::cli::Config;
use crate::cli::approvals::{ApprovalsCommand, Decide};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, Time, View};
use crate::settings::{SocialFile, load};

/// Runs a subcommand.
pub(crate) async fn run(command: ApprovalsCommand) -> Outcome {
    match command {
        ApprovalsCommand::List {
            personal,
            config,
            json,
        } => list(&config, personal, json).await,
        ApprovalsCommand::Grant(decide) => decide_request(decide, Decision::Grant).await,
        ApprovalsCommand::Refuse(decide) => decide_request(decide, Decision::Refuse).await,
    }
}

/// The number of requests per read.
const PAGE_SIZE: usize = 500;

async fn list(config: &Config, personal: bool, json: bool) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&config.config)?;
    let file = &loaded.value;
    let kinds = Kinds::new(file.kinds.clone()).map_err(|error| Failure::usage(error.to_string()))?;
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let mut entries = Vec::new();
    for stored in &open_requests(&exchange).await? {
        let Some((request, digest)) = read(&stored.bytes) else {
            continue;
        };
        let Some(rule) = kinds
            .get(&request.kind)
            .and_then(|kind| kind.config().approval.clone())
        else {
            continue;
        };
        let approvals: Vec<Approval> = exchange
            .approvals(&request.recipient, &request.id)
            .await?
            .iter()
            .filter_map(|stored| approval(file, &stored.bytes))
            .filter(|approval| approval.request == digest)
            .collect();
        // The same evaluation as in the agent.
        let state = rule.evaluate(&request, digest, stored.stored_at, &approvals, Timestamp::now());
        if let ApprovalState::Pending { granted, needed } = state {
            entries.push(ApprovalItem::new(
                &request,
                stored.stored_at,
                &approvals,
                (granted, needed),
                personal,
            ));
        }
    }
    exchange.close().await;
    output::report(&ApprovalList { items: entries }, json)?;
    Ok(Exit::Done)
}

/// Returns the requests of all recipients without an outcome.
async fn open_requests(exchange: &ExchangeClient) -> Result<Vec<Stored>, Failure> {
    let mut open = Vec::new();
    for party in exchange.parties(Stream::Requests).await? {
        let recipient =
            RecipientName::new(party.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
        let mut from = 1;
        loop {
            let page = exchange.fetch_requests(&recipient, from, PAGE_SIZE).await?;
            let Some(last) = page.last() else { break };
            from = last.sequence + 1;
            open.extend(page);
        }
    }
    open.sort_by_key(|request| request.stored_at);
    Ok(open)
}

fn read(bytes: &[u8]) -> Option<(Request, Digest)> {
    let envelope = Envelope::decode(bytes).ok()?;
    Some((envelope.read().ok()?, envelope.digest()))
}

fn approval(file: &SocialFile, bytes: &[u8]) -> Option<Approval> {
    let envelope = Envelope::decode(bytes).ok()?;
    let approval: Approval = envelope.read().ok()?;
    envelope.verify(file.trust.officers.get(&approval.officer)?).ok()
}

/// The requests that wait for officers, the oldest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "approvals list")]
pub(super) struct ApprovalList {
    pub(super) items: Vec<ApprovalItem>,
}

/// A request that waits for officers.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ApprovalItem {
    id: String,
    recipient: RecipientName,
    kind: String,
    /// The code of the purpose.
    purpose: String,
    /// The code of the legal basis.
    basis: String,
    /// The requesting person.
    filed_by: String,
    /// When the exchange stored it.
    stored_at: Time,
    /// Until when an answer is useful.
    deadline: Option<Time>,
    /// The officers that decided.
    decided_by: Vec<OfficerName>,
    /// Officers that granted it.
    granted: u32,
    /// Officers that must grant it.
    needed: u32,
    /// The arguments; with `--personal` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<BTreeMap<String, Scalar>>,
}

impl ApprovalItem {
    /// Creates it from the request and the decisions so far. `personal` includes the arguments.
    pub(super) fn new(
        request: &Request,
        stored_at: Timestamp,
        approvals: &[Approval],
        (granted, needed): (u32, u32),
        personal: bool,
    ) -> Self {
        let arguments = || {
            let all = request.arguments.iter();
            all.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        Self {
            id: request.id.to_string(),
            recipient: request.recipient.clone(),
            kind: request.kind.clone(),
            purpose: request.purpose.clone(),
            basis: request.basis.clone(),
            filed_by: request.filed_by.clone(),
            stored_at: stored_at.into(),
            deadline: request.deadline.map(Time),
            decided_by: approvals
                .iter()
                .map(|approval| approval.officer.clone())
                .collect(),
            granted,
            needed,
            arguments: personal.then(arguments),
        }
    }
}

impl Report for ApprovalList {
    fn view(&self) -> View {
        let mut view = View::new();
        if self.items.is_empty() {
            view.line("no request waits for an officer");
        }
        for item in &self.items {
            let mut words = format!(
                "{}  {}  {}  purpose {} basis {}  by {}  since {}  granted {} of {}",
                item.id,
                item.recipient,
                item.kind,
                item.purpose,
                item.basis,
                item.filed_by,
                item.stored_at,
                item.granted,
                item.needed,
            );
            if !item.decided_by.is_empty() {
                let by: Vec<&str> = item.decided_by.iter().map(OfficerName::as_str).collect();
                words.push_str(&format!(" ({})", by.join(", ")));
            }
            view.line(words);
            for (name, value) in item.arguments.iter().flatten() {
                let value = match value {
                    Scalar::Int(number) => number.to_string(),
                    Scalar::Text(text) => text.clone(),
                };
                view.line(format!("    {name} = {value}"));
            }
        }
        view
    }
}

async fn decide_request(decide: Decide, decision: Decision) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&decide.config.config)?;
    let file = &loaded.value;
    let seed =
        Secret::File(std::path::absolute(&decide.seed_file).map_err(|error| Failure::internal(&error))?);
    let key = SigningKey::from_seed(seed.read(loaded.folder())?.expose())
        .map_err(|error| Failure::usage(format!("{}: {error}", decide.seed_file.display())))?;
    let known = file.trust.officers.get(&decide.officer);
    if !known.is_some_and(|keys| keys.contains(key.public())) {
        return Err(Failure::usage(format!(
            "[trust] officers does not name {} with the key {}: the agent would ignore the decision",
            decide.officer,
            key.public()
        )));
    }
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let filed = async {
        let id = find(&exchange, &decide.recipient, &decide.id).await?;
        file_decision(&exchange, &decide, &id, decision, &key).await?;
        Ok::<_, Failure>(id)
    };
    let filed = filed.await;
    exchange.close().await;
    let id = filed?;
    let report = DecisionReport {
        id: id.to_string(),
        officer: decide.officer,
        decision: match decision {
            Decision::Grant => DecisionWord::Granted,
            Decision::Refuse => DecisionWord::Refused,
        },
    };
    output::report(&report, decide.json)?;
    Ok(Exit::Done)
}

/// An officer's decision about a request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "approvals grant, approvals refuse")]
pub(super) struct DecisionReport {
    /// The id of the request.
    id: String,
    officer: OfficerName,
    decision: DecisionWord,
}

/// A decision.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DecisionWord {
    /// The officer grants the request.
    Granted,
    /// The officer refuses the request.
    Refused,
}

impl Report for DecisionReport {
    fn view(&self) -> View {
        let word = match self.decision {
            DecisionWord::Granted => "granted",
            DecisionWord::Refused => "refused",
        };
        let mut view = View::new();
        view.line(format!(
            "{} is {word} by {}; the decision is permanent",
            self.id, self.officer
        ));
        view
    }
}

/// Finds a request by its full id, or by the prefix of a pending one.
async fn find(
    exchange: &ExchangeClient,
    recipient: &RecipientName,
    text: &str,
) -> Result<RequestId, Failure> {
    let usage = |error: slacktide_client::Error| Failure::usage(error.to_string());
    if let Some(id) = slacktide_client::client::whole(text).map_err(usage)? {
        return Ok(id);
    }
    let (mut ids, mut from) = (Vec::new(), 1);
    loop {
        let page = exchange.fetch_requests(recipient, from, PAGE_SIZE).await?;
        let Some(last) = page.last() else { break };
        from = last.sequence + 1;
        let id = |stored: &Stored| stored.subject.rsplit('.').next()?.parse().ok();
        ids.extend(page.iter().filter_map(id));
    }
    match (slacktide_client::client::one_of(text, &ids), text.parse()) {
        // It may have its outcome, which is reported then.
        (Err(slacktide_client::Error::NoSuch(_)), Ok(id)) => Ok(id),
        (found, _) => found.map_err(usage),
    }
}

async fn file_decision(
    exchange: &ExchangeClient,
    decide: &Decide,
    id: &RequestId,
    decision: Decision,
    key: &SigningKey,
) -> Result<(), Failure> {
    let (request, reply) = exchange.request_status(&decide.recipient, id).await?;
    let found = request.as_ref().and_then(|stored| read(&stored.bytes));
    let Some((request, digest)) = found else {
        return Err(Failure::usage(format!(
            "there is no request {} of {} at the exchange; run `slacktide approvals list`",
            id, decide.recipient
        )));
    };
    if reply.is_some() {
        return Err(Failure::usage(format!("{id} already has its outcome")));
    }
    let approval = Approval {
        id: request.id,
        recipient: request.recipient,
        request: digest,
        officer: decide.officer.clone(),
        decision,
        reason: decide.reason.clone(),
        at: Timestamp::now(),
        key: key.public().clone(),
    };
    let bytes = Envelope::sign(&approval, Vec::new(), key)
        .and_then(|envelope| envelope.encode())
        .map_err(|error| Failure::internal(&error))?;
    let filed = exchange
        .approve(&decide.recipient, id, &decide.officer, Bytes::from(bytes))
        .await?;
    match filed {
        Filed::Done { .. } => Ok(()),
        Filed::Exists(_) => Err(Failure::usage(format!(
            "{} has already decided about {}, and a decision is permanent; run `slacktide approvals list`",
            decide.officer, id
        ))),
    }
}
