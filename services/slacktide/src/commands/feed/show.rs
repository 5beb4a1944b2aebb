//! `slacktide feed list|show`.

use std::collections::BTreeMap;

use disclosure::mask::Mask;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::column::{Column, RowSchema};
use schemas::digest::Digest;
use schemas::name::{FeedName, RecipientName};
use serde::Serialize;
use serde_json::Value;

use crate::cli::feed::{ListArgs, ShowArgs};
use crate::commands::items::{ChunkItem, OutstandingItem, ReceiptItem, outstanding};
use crate::commands::status::ago::ago;
use crate::commands::status::facts::{self, Facts, LaneFacts};
use crate::commands::status::judge::{self, JudgedLane, State};
use crate::commands::status::report::non_empty;
use crate::commands::status::withheld_by;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, Table, Time, View};
use crate::settings::feed::FeedTable;
use crate::settings::{SocialFile, load};

/// The feeds of a configuration.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "feed list")]
pub(in crate::commands) struct FeedList {
    items: Vec<FeedItem>,
    #[serde(skip)]
    view: View,
}

impl Report for FeedList {
    fn view(&self) -> View {
        self.view.clone()
    }
}

/// A feed: its definition, and its lanes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "feed show")]
pub(in crate::commands) struct FeedItem {
    feed: FeedName,
    /// The digest of the definition, which the manifests name.
    definition: Digest,
    /// The version that the file gives.
    version: u32,
    /// The columns of the cursor.
    cursor: Vec<String>,
    /// The columns of the key.
    key: Vec<String>,
    /// The columns that hold amounts of money.
    money: Vec<String>,
    /// The column that marks deleted rows.
    tombstone: Option<String>,
    /// The column that names a person.
    person: Option<String>,
    /// The columns of the rows; `null` before the source is read.
    columns: Option<Vec<Column>>,
    /// What the agent does with the feed, in its own words; `null` if no agent answers.
    agent_state: Option<String>,
    /// When the agent had read every row within the fence.
    caught_up_at: Option<Time>,
    /// Rows that the running agent read.
    rows_read: u64,
    lanes: Vec<FeedLane>,
    #[serde(skip)]
    view: View,
}

impl Report for FeedItem {
    fn view(&self) -> View {
        self.view.clone()
    }
}

/// The lane of a feed to one recipient.
#[derive(Debug, Serialize, JsonSchema)]
struct FeedLane {
    recipient: RecipientName,
    /// The kind of mask, by column.
    masks: BTreeMap<String, String>,
    state: State,
    /// The cause; `null` if the state needs none.
    why: Option<String>,
    /// The remedy; `null` if nothing is to be done.
    remedy: Option<String>,
    chunk: Option<ChunkItem>,
    receipt: Option<ReceiptItem>,
    /// Chunks without a receipt.
    lag_chunks: Option<u64>,
    /// Rows that the running agent withheld.
    withheld: u64,
    /// Rows that the running agent could not carry.
    rejects: u64,
    /// Rows that are withheld, by hold.
    outstanding: Vec<OutstandingItem>,
}

/// Lists all feeds.
pub(super) async fn list(args: ListArgs) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let facts = facts::collect_for_bureau(&loaded).await;
    let judged = judge::judge_all(&facts);
    let feeds = loaded.value.feeds.iter();
    let list = FeedList {
        items: feeds.map(|feed| item(feed, &facts, &judged)).collect(),
        view: list_view(&facts, &judged),
    };
    output::report(&list, args.json)?;
    Ok(Exit::Done)
}

fn list_view(facts: &Facts, judged: &[JudgedLane]) -> View {
    let mut table = Table::new()
        .text("FEED")
        .fixed("DEFINITION")
        .text("RECIPIENT")
        .fixed("STATE")
        .fixed("CHUNK")
        .fixed("STORED");
    for (lane, judged) in facts.lanes.iter().zip(judged) {
        let definition = lane.definition.map(|digest| digest.to_string());
        let chunk = lane.chunk.as_ref();
        table.row([
            lane.feed.to_string(),
            definition.map_or_else(String::new, |digest| format!("{digest:.SHORT_DIGEST$}…")),
            lane.recipient.to_string(),
            judged.state.label().to_owned(),
            chunk.map_or("-".to_owned(), |chunk| {
                format!("{}.{}", chunk.epoch, chunk.number)
            }),
            chunk.map_or("-".to_owned(), |chunk| ago(chunk.stored_at, facts.at)),
        ]);
    }
    let mut view = View::new();
    view.table(table);
    view
}

/// The digits of a digest in a table; `feed show` and `--json` have all of them.
const SHORT_DIGEST: usize = 8;

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
    output::report(&item(feed, &facts, &judged), args.json)?;
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

/// Creates the value of a feed.
pub(in crate::commands) fn item(feed: &FeedTable, facts: &Facts, judged: &[JudgedLane]) -> FeedItem {
    let lane = |(lane, judged): (&LaneFacts, &JudgedLane)| {
        let own = facts.agent.lane(&lane.lane());
        let masks = feed.masks_for(&lane.recipient);
        FeedLane {
            recipient: lane.recipient.clone(),
            masks: mask_names(&masks),
            state: judged.state,
            why: non_empty(&judged.why),
            remedy: non_empty(&judged.remedy),
            chunk: lane.chunk.as_ref().map(ChunkItem::from),
            receipt: lane.receipt.as_ref().map(ReceiptItem::from),
            lag_chunks: judged.lag_chunks,
            withheld: count(own, "withheld"),
            rejects: count(own, "rejects"),
            outstanding: outstanding(lane.chunk.as_ref()),
        }
    };
    let page = facts.agent.feed(&feed.name);
    let text = |key: &str| page.and_then(|page| Some(page.get(key)?.as_str()?.to_owned()));
    FeedItem {
        feed: feed.name.clone(),
        definition: feed.definition().digest(),
        version: feed.version,
        cursor: feed.cursor.clone(),
        key: feed.key.clone(),
        money: feed.money.clone(),
        tombstone: feed.tombstone.clone(),
        person: feed.person.clone(),
        columns: columns(feed, facts).map(|schema| schema.columns),
        agent_state: text("state"),
        caught_up_at: text("caught_up_at").and_then(|at| Some(Time(at.parse().ok()?))),
        rows_read: count(page, "rows_read"),
        lanes: lanes(feed, facts, judged).map(lane).collect(),
        view: view(feed, facts, judged),
    }
}

/// Renders a feed for people.
fn view(feed: &FeedTable, facts: &Facts, judged: &[JudgedLane]) -> View {
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
    let person = feed.person.as_deref();
    let mut view = View::new();
    view.labelled("feed        ", format!("{}, version {}", feed.name, feed.version))
        .labelled("definition  ", feed.definition().digest().to_string())
        .labelled("cursor      ", list(&feed.cursor))
        .labelled("key         ", list(&feed.key))
        .labelled("money       ", list(&feed.money))
        .labelled("tombstone   ", feed.tombstone.as_deref().unwrap_or("none"))
        .labelled(
            "person      ",
            person.unwrap_or("none: holds of persons withhold none of its rows"),
        )
        .labelled(
            "agent       ",
            format!(
                "{}; {} rows read; drained {}",
                text("state"),
                count(page, "rows_read"),
                text("caught_up_at")
            ),
        );
    let columns = columns(feed, facts).map(|schema| {
        let described = schema
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, social::definition_diff::column_type(column)));
        described.collect::<Vec<_>>().join(", ")
    });
    view.labelled(
        "columns     ",
        columns.unwrap_or_else(|| "not known before the source is read".to_owned()),
    );
    for (lane, judged) in lanes(feed, facts, judged) {
        view.blank();
        lane_view(&mut view, feed, facts, (lane, judged));
    }
    view
}

fn lane_view(view: &mut View, feed: &FeedTable, facts: &Facts, (lane, judged): (&LaneFacts, &JudgedLane)) {
    view.line(format!("to {}: {}", lane.recipient, judged.state.label()));
    if !judged.why.is_empty() {
        view.labelled("    why: ", judged.why.clone());
    }
    if !judged.remedy.is_empty() {
        view.labelled("    do:  ", judged.remedy.clone());
    }
    let masks = feed.masks_for(&lane.recipient);
    if !masks.is_empty() {
        let named = mask_names(&masks)
            .into_iter()
            .map(|(column, mask)| format!("{column} ({mask})"));
        view.labelled("    masked: ", named.collect::<Vec<_>>().join(", "));
    }
    if let Some(chunk) = &lane.chunk {
        view.line(format!(
            "    last chunk {}.{}, {}, {} rows, {} rejects, {} withheld",
            chunk.epoch,
            chunk.number,
            ago(chunk.stored_at, facts.at),
            chunk.rows,
            chunk.rejects,
            chunk.withheld
        ));
        for (id, back) in &chunk.outstanding {
            view.line(format!(
                "    {}: {} rows withheld since chunk {}.{}; once they are no longer held, send them with",
                withheld_by(id),
                back.rows,
                back.epoch,
                back.number
            ));
            view.command(
                8,
                format!(
                    "slacktide feed rewind {} --recipient {} --from chunk:{}.{}",
                    lane.feed, lane.recipient, back.epoch, back.number
                ),
            );
        }
    }
    if let Some(receipt) = &lane.receipt {
        view.line(format!(
            "    receipt to {}.{}, {}; {} chunks behind, {} in quarantine",
            receipt.epoch,
            receipt.to,
            ago(receipt.stored_at, facts.at),
            judged.lag_chunks.unwrap_or(0),
            receipt.quarantined.len()
        ));
    }
    let own = facts.agent.lane(&lane.lane());
    view.line(format!(
        "    by this process: {} chunks, {} rows, {} rejects, {} withheld",
        count(own, "chunks"),
        count(own, "rows"),
        count(own, "rejects"),
        count(own, "withheld")
    ));
}

/// Returns the kind of each mask, by column.
fn mask_names(masks: &BTreeMap<String, Mask>) -> BTreeMap<String, String> {
    let named = |(column, mask): (&String, &Mask)| (column.clone(), mask.name().to_owned());
    masks.iter().map(named).collect()
}
