//! `slacktide approvals list|grant|refuse`: officers of the bureau decide about pending requests.
//!
//! An officer signs with their own key, and the decision is permanent: the exchange accepts one for each officer and
//! request. The reason is for the bureau's records; the recipient sees the outcome only.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Subcommand};
use exchange::port::Stream;
use exchange::{AuditExchange, Exchange, Filed, RequestExchange, Stored};
use jiff::Timestamp;
use requests::approval::ApprovalState;
use requests::kind::Kinds;
use runtime::config::{Loaded, Secret};
use runtime::exit::Exit;
use schemas::approval::{Approval, Decision};
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::name::{OfficerName, RecipientName};
use schemas::request::{Request, RequestId};
use schemas::sign::SigningKey;

use crate::cli::Config;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// The approvals commands.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// List the requests that wait for officers.
    #[command(after_help = "Example:\n  slacktide approvals list --config config/social.toml")]
    List {
        /// Show the arguments, too. They are personal data.
        #[arg(long)]
        personal: bool,
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Approve a request. A kind may need the approval of several officers.
    #[command(
        after_help = "Example:\n  slacktide approvals grant 20260131-x7k2m9q4 --recipient insurer-a --officer li_na --seed-file li_na/sign.seed --reason \"checked the contract\" --config config/social.toml"
    )]
    Grant(Decide),
    /// Refuse a request permanently.
    #[command(
        after_help = "Example:\n  slacktide approvals refuse 20260131-x7k2m9q4 --recipient insurer-a --officer li_na --seed-file li_na/sign.seed --reason \"no such contract\" --config config/social.toml"
    )]
    Refuse(Decide),
}

/// The arguments of a decision.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The request's id, or a prefix that is unique among the recipient's pending requests.
    id: String,
    /// The recipient that filed the request.
    #[arg(long, value_name = "NAME")]
    recipient: RecipientName,
    /// The deciding officer, named in `[trust] officers`.
    #[arg(long, value_name = "NAME")]
    officer: OfficerName,
    /// The file of the officer's own signing seed.
    #[arg(long, value_name = "FILE")]
    seed_file: PathBuf,
    /// The reason. It is signed and kept; do not name a person in it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    config: Config,
    /// Print the decision as JSON.
    #[arg(long)]
    json: bool,
}

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
            entries.push(entry(
                &request,
                stored.stored_at,
                &approvals,
                (granted, needed),
                personal,
            ));
        }
    }
    exchange.close().await;
    if json {
        output::json(&entries)?;
    } else if entries.is_empty() {
        output::line("no request waits for an officer");
    } else {
        for entry in &entries {
            output::lines(render(entry));
        }
    }
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

pub(super) fn entry(
    request: &Request,
    stored_at: Timestamp,
    approvals: &[Approval],
    (granted, needed): (u32, u32),
    personal: bool,
) -> serde_json::Value {
    let by: Vec<&OfficerName> = approvals.iter().map(|approval| &approval.officer).collect();
    let mut entry = serde_json::json!({
        "id": request.id,
        "recipient": request.recipient,
        "kind": request.kind,
        "purpose": request.purpose,
        "basis": request.basis,
        "filed_by": request.filed_by,
        "stored_at": stored_at,
        "deadline": request.deadline,
        "decided_by": by,
        "granted": granted,
        "needed": needed,
    });
    if personal && let Some(entry) = entry.as_object_mut() {
        let arguments: std::collections::BTreeMap<&String, &Scalar> = request.arguments.iter().collect();
        entry.insert("arguments".to_owned(), serde_json::json!(arguments));
    }
    entry
}

pub(super) fn render(entry: &serde_json::Value) -> Vec<String> {
    let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    let by: Vec<&str> = entry["decided_by"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    let mut words = format!(
        "{}  {}  {}  purpose {} basis {}  by {}  since {}  granted {} of {}",
        text("id"),
        text("recipient"),
        text("kind"),
        text("purpose"),
        text("basis"),
        text("filed_by"),
        text("stored_at"),
        entry["granted"],
        entry["needed"],
    );
    if !by.is_empty() {
        words.push_str(&format!(" ({})", by.join(", ")));
    }
    let mut lines = vec![words];
    if let Some(arguments) = entry.get("arguments") {
        lines.push(format!("    {arguments}"));
    }
    lines
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
    let word = match decision {
        Decision::Grant => "granted",
        Decision::Refuse => "refused",
    };
    if decide.json {
        output::json(&serde_json::json!({ "id": id, "officer": decide.officer, "decision": word }))?;
    } else {
        output::line(&format!(
            "{id} is {word} by {}; the decision is permanent",
            decide.officer
        ));
    }
    Ok(Exit::Done)
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
