//! `slacktide feed list|show`.

use clap::Args;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::column::RowSchema;
use schemas::name::FeedName;
use serde_json::{Value, json};

use crate::cli::Config;
use crate::commands::status::ago::ago;
use crate::commands::status::facts::{self, Facts, LaneFacts};
use crate::commands::status::judge::{self, JudgedLane};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::feed::FeedTable;
use crate::settings::{SocialFile, load};

/// The arguments of `feed list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    config: Config,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `feed show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The feed.
    name: FeedName,
    #[command(flatten)]
    config: Config,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Lists all feeds.
pub(super) async fn list(args: ListArgs) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let facts = facts::collect_for_bureau(&loaded).await;
    let judged = judge::judge_all(&facts);
    if args.json {
        let feeds: Vec<Value> = loaded
            .value
            .feeds
            .iter()
            .map(|feed| data(feed, &facts, &judged))
            .collect();
        output::json(&json!({ "feeds": feeds }))?;
        return Ok(Exit::Done);
    }
    output::line(&format!(
        "{:<20}  {:<10}  {:<20}  {:<17}  {:>9}  {:>10}",
        "FEED", "DEFINITION", "RECIPIENT", "STATE", "CHUNK", "STORED"
    ));
    for (lane, judged) in facts.lanes.iter().zip(&judged) {
        let definition = lane
            .definition
            .map(|digest| digest.to_string())
            .unwrap_or_default();
        let chunk = lane.chunk.as_ref();
        output::line(&format!(
            "{:<20}  {:<10.8}  {:<20}  {:<17}  {:>9}  {:>10}",
            lane.feed,
            definition,
            lane.recipient,
            judged.state.label(),
            chunk.map_or("-".to_owned(), |chunk| format!(
                "{}.{}",
                chunk.epoch, chunk.number
            )),
            chunk.map_or("-".to_owned(), |chunk| ago(chunk.stored_at, facts.at)),
        ));
    }
    Ok(Exit::Done)
}

/// Shows one feed.
pub(super) async fn show(args: ShowArgs) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let feed = loaded
        .value
        .feeds
        .iter()
        .find(|feed| feed.name == args.name)
        .ok_or_else(|| {
            Failure::usage(format!(
                "{}: there is no feed {}; run `slacktide feed list`",
                args.config.config.display(),
                args.name
            ))
        })?;
    let facts = facts::collect_for_bureau(&loaded).await;
    let judged = judge::judge_all(&facts);
    if args.json {
        output::json(&data(feed, &facts, &judged))?;
    } else {
        output::lines(lines(feed, &facts, &judged));
    }
    Ok(Exit::Done)
}

fn lanes<'a>(
    feed: &FeedTable,
    facts: &'a Facts,
    judged: &'a [JudgedLane],
) -> impl Iterator<Item = (&'a LaneFacts, &'a JudgedLane)> {
    let name = feed.name.clone();
    facts
        .lanes
        .iter()
        .zip(judged)
        .filter(move |(lane, _)| lane.feed == name)
}

/// Returns the columns from the agent's page, or from the last chunk of any recipient.
fn columns(feed: &FeedTable, facts: &Facts) -> Option<RowSchema> {
    let from_page = facts
        .agent
        .feed(&feed.name)
        .and_then(|page| serde_json::from_value(page.get("columns")?.clone()).ok());
    from_page.or_else(|| {
        let mut of_feed = facts.lanes.iter().filter(|lane| lane.feed == feed.name);
        of_feed.find_map(|lane| Some(lane.chunk.as_ref()?.schema.clone()))
    })
}

fn count(value: Option<&Value>, key: &str) -> u64 {
    value.and_then(|value| value.get(key)?.as_u64()).unwrap_or(0)
}

/// Renders JSON.
fn data(feed: &FeedTable, facts: &Facts, judged: &[JudgedLane]) -> Value {
    let lane = |(lane, judged): (&LaneFacts, &JudgedLane)| {
        let own = facts.agent.lane(&lane.lane());
        json!({
            "recipient": lane.recipient, "masks": feed.masks_for(&lane.recipient), "state": judged.state, "why": judged.why, "remedy": judged.remedy,
            "chunk": lane.chunk, "receipt": lane.receipt, "lag_chunks": judged.lag_chunks,
            "withheld": count(own, "withheld"), "rejects": count(own, "rejects"),
            "outstanding": lane.chunk.as_ref().map(|chunk| {
                let entry = |(id, back): (&String, &schemas::manifest::OutstandingRows)| {
                    (id.clone(), json!({ "epoch": back.epoch, "number": back.number, "rows": back.rows }))
                };
                chunk.outstanding.iter().map(entry).collect::<serde_json::Map<_, _>>()
            }),
        })
    };
    let page = facts.agent.feed(&feed.name);
    json!({
        "name": feed.name, "definition": feed.definition().digest(), "version": feed.version,
        "cursor": feed.cursor, "key": feed.key, "money": feed.money, "tombstone": feed.tombstone,
        "person": feed.person, "columns": columns(feed, facts).map(|schema| schema.columns),
        "state": page.and_then(|page| page.get("state").cloned()),
        "caught_up_at": page.and_then(|page| page.get("caught_up_at").cloned()),
        "rows_read": count(page, "rows_read"),
        "recipients": lanes(feed, facts, judged).map(lane).collect::<Vec<_>>(),
    })
}

/// Renders lines.
pub(in crate::commands) fn lines(feed: &FeedTable, facts: &Facts, judged: &[JudgedLane]) -> Vec<String> {
    let list = |names: &[String]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    let page = facts.agent.feed(&feed.name);
    let text = |key: &str| {
        page.and_then(|page| page.get(key)?.as_str())
            .unwrap_or("not known")
    };
    let mut lines = vec![
        format!("feed        {}, version {}", feed.name, feed.version),
        format!("definition  {}", feed.definition().digest()),
        format!("cursor      {}", list(&feed.cursor)),
        format!("key         {}", list(&feed.key)),
        format!("money       {}", list(&feed.money)),
        format!("tombstone   {}", feed.tombstone.as_deref().unwrap_or("none")),
        format!(
            "person      {}",
            feed.person
                .as_deref()
                .unwrap_or("none: holds of persons withhold none of its rows")
        ),
        format!(
            "agent       {}; {} rows read; drained {}",
            text("state"),
            count(page, "rows_read"),
            text("caught_up_at")
        ),
    ];
    match columns(feed, facts) {
        None => lines.push("columns     not known before the source is read".to_owned()),
        Some(schema) => {
            let all: Vec<String> = schema
                .columns
                .iter()
                .map(|column| format!("{} {}", column.name, social::definition_diff::column_type(column)))
                .collect();
            crate::commands::status::wrapped(&mut lines, "columns     ", &all.join(", "), 100);
        }
    }
    for (lane, judged) in lanes(feed, facts, judged) {
        lines.push(String::new());
        lines.push(format!("to {}: {}", lane.recipient, judged.state.label()));
        if !judged.why.is_empty() {
            crate::commands::status::wrapped(&mut lines, "    why: ", &judged.why, 100);
        }
        if !judged.remedy.is_empty() {
            crate::commands::status::wrapped(&mut lines, "    do:  ", &judged.remedy, 100);
        }
        let masks = feed.masks_for(&lane.recipient);
        if !masks.is_empty() {
            let named = masks
                .iter()
                .map(|(column, mask)| format!("{column} ({})", mask.name()));
            lines.push(format!("    masked: {}", named.collect::<Vec<_>>().join(", ")));
        }
        if let Some(chunk) = &lane.chunk {
            lines.push(format!(
                "    last chunk {}.{}, {}, {} rows, {} rejects, {} withheld",
                chunk.epoch,
                chunk.number,
                ago(chunk.stored_at, facts.at),
                chunk.rows,
                chunk.rejects,
                chunk.withheld
            ));
            for (id, back) in &chunk.outstanding {
                lines.push(format!(
                    "    {}: {} rows withheld since chunk {}.{}; once they are no longer held, send them with",
                    crate::commands::status::withheld_by(id),
                    back.rows,
                    back.epoch,
                    back.number
                ));
                lines.push(format!(
                    "        slacktide feed rewind {} --recipient {} --from chunk:{}.{}",
                    lane.feed, lane.recipient, back.epoch, back.number
                ));
            }
        }
        if let Some(receipt) = &lane.receipt {
            lines.push(format!(
                "    receipt to {}.{}, {}; {} chunks behind, {} in quarantine",
                receipt.epoch,
                receipt.to,
                ago(receipt.stored_at, facts.at),
                judged.lag_chunks.unwrap_or(0),
                receipt.quarantined.len()
            ));
        }
        let own = facts.agent.lane(&lane.lane());
        lines.push(format!(
            "    by this process: {} chunks, {} rows, {} rejects, {} withheld",
            count(own, "chunks"),
            count(own, "rows"),
            count(own, "rejects"),
            count(own, "withheld")
        ));
    }
    lines
}
