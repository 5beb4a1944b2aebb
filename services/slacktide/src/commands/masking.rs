//! `slacktide masking preview`: what a recipient would be sent, on real rows; `mark` is `slacktide masking mark`.
//!
//! It goes the way that the agent goes: the file's gate has to be open, orders to pause count, and the first rows of
//! the feed pass through the same code that batches chunks. What is printed is read back from the packed bytes.

mod mark;

use std::sync::Arc;
use std::time::Duration;

use disclosure::hold::{self, HoldEffect, Holds};
use gate::{Gate, Orders, OwnPids};
use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::control::{self, Action, AnyAction, Control};
use schemas::digest::Digest;
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::person::PersonKey;
use schemas::rows::RowReader;
use schemas::sign::SigningKey;
use schemas::value::Value;
use serde::Serialize;
use serde_json::{Map, json};
use social::chunker::Chunker;
use social::row_batch::Block;
use source::Source;
use tokio_util::sync::CancellationToken;

use super::operator::orders_in_force;
use crate::cli::masking::{MaskingCommand, PreviewArgs};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::feed::FeedTable;
use crate::settings::{self, SocialFile, load};

/// Runs a subcommand.
pub(crate) async fn run(command: MaskingCommand) -> Outcome {
    let args = match command {
        MaskingCommand::Preview(args) => args,
        MaskingCommand::Mark(args) => return mark::run(&args),
    };
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let matches = |feed: &&FeedTable| feed.name == args.feed && feed.recipients.contains(&args.recipient);
    let feed = loaded.value.feeds.iter().find(matches).ok_or_else(|| {
        Failure::usage(format!(
            "{}: there is no feed {} for {}; correct the name",
            loaded.path.display(),
            args.feed,
            args.recipient
        ))
    })?;
    let lane = Lane {
        recipient: args.recipient.clone(),
        feed: args.feed.clone(),
    };
    let key = loaded.value.signing.key(loaded.folder())?;
    let orders = orders_in_force(&loaded, &key).await?;
    let now = Timestamp::now();
    if let Some(why) = orders
        .as_ref()
        .and_then(|orders| pause_reason(orders, &loaded.value, now))
    {
        return Err(Failure::new(Exit::TooBusy, why));
    }
    let hold = evaluate_holds(&loaded, feed, &lane, orders.as_ref(), &key)?;
    let masks = settings::masks::lane_masks(&loaded)?.remove(&lane);
    let new_chunker = |columns: &schemas::column::RowSchema| {
        let chunker = Chunker::with_masks(columns, &feed.cursor, &feed.money, None, masks);
        let withhold = match &hold {
            HoldEffect::Free(withhold) => withhold.clone(),
            HoldEffect::Held(_) => None,
        };
        chunker
            .and_then(|chunker| chunker.with_row_filter(withhold))
            .map_err(|error| Failure::usage(format!("feed {}: {error}", feed.name)))
    };
    let stop = CancellationToken::new();
    let read = read_rows(&loaded, feed, &args, new_chunker, &stop).await;
    stop.cancel();
    let chunker = read?;
    if let HoldEffect::Held(why) = &hold {
        output::note(&format!("note: the lane is held, nothing is sent now: {why}"));
    }
    print(feed, &args, chunker)
}

/// Returns who paused the gate and why, or `None` if it is not paused.
fn pause_reason(orders: &Control, file: &SocialFile, now: Timestamp) -> Option<String> {
    let scope = control::gate_scope(&file.social.source);
    let pause = control::orders_in_force(orders, now)
        .find(|order| order.scope == scope && matches!(order.action, AnyAction::Known(Action::Pause)))?;
    Some(format!(
        "the gate is paused by {}: {}; nothing is read until `slacktide gate resume`",
        pause.actor, pause.reason
    ))
}

fn evaluate_holds(
    loaded: &Loaded<SocialFile>,
    feed: &FeedTable,
    lane: &Lane,
    orders: Option<&Control>,
    key: &SigningKey,
) -> Result<HoldEffect, Failure> {
    let persons = PersonKey::of(key).map_err(|error| Failure::internal(&error))?;
    let (persons, now) = (Arc::new(persons), Timestamp::now());
    let holds = Holds::of(
        orders
            .into_iter()
            .flat_map(|orders| control::orders_in_force(orders, now)),
    );
    let person = feed.person.as_deref();
    let hold = hold::evaluate(&holds, lane, person, Some(&persons));
    let list = settings::blocklist::open_blocklist(loaded, key)?.map(|keeper| keeper.list());
    Ok(match list {
        Some(list) => hold::with_block_list(hold, &list.borrow(), person, Some(&persons)),
        None => hold,
    })
}

/// Reads with permits of the gate, as the agent does.
async fn read_rows(
    loaded: &Loaded<SocialFile>,
    feed: &FeedTable,
    args: &PreviewArgs,
    new_chunker: impl FnOnce(&schemas::column::RowSchema) -> Result<Chunker, Failure>,
    stop: &CancellationToken,
) -> Result<Chunker, Failure> {
    let own = OwnPids::new();
    let probes = crate::probes::signals(loaded)?;
    let (gate, sampling) = Gate::start(&compose::gate(loaded), &own, probes, Orders::default(), stop)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let source = compose::source(loaded, gate.closed_flag())?;
    let pid_reporting = compose::report_backend_pids(Arc::clone(&source), own, stop.clone());
    let read = tokio::time::timeout(
        args.wait.get(),
        quantum(&gate, source.as_ref(), feed, args, new_chunker),
    )
    .await;
    let verdict = gate.verdict();
    source.close().await;
    stop.cancel();
    sampling.join().await;
    let _ = pid_reporting.await;
    read.unwrap_or_else(|_| {
        Err(Failure::new(
            Exit::TooBusy,
            format!(
                "the gate gave no permit within {}: {}; retry when the core has slack",
                args.wait, verdict.reason
            ),
        ))
    })
}

async fn quantum(
    gate: &Gate,
    source: &dyn Source,
    feed: &FeedTable,
    args: &PreviewArgs,
    new_chunker: impl FnOnce(&schemas::column::RowSchema) -> Result<Chunker, Failure>,
) -> Result<Chunker, Failure> {
    let permit = gate.permit().await;
    let mut reader = source.open_feed(&feed.definition(), &permit).await?;
    drop(permit);
    let mut chunker = new_chunker(reader.schema())?;
    loop {
        let permit = gate.permit().await;
        let reading = reader.fence(&permit).await?;
        let Some(fence) = reading.fence else {
            // A transaction is open, or the lag has not passed.
            drop(permit);
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        };
        chunker.rows.begin_quantum(Timestamp::now());
        let read = reader
            .read(None, &fence, usize::from(args.rows), &permit, &mut chunker)
            .await;
        match read {
            // Rows read before the gate closed are valid, too.
            Ok(_) => break,
            Err(_) if permit.is_revoked() && chunker.rows.open_since().is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(fault) = chunker.rows.take_fault() {
        return Err(Failure::new(Exit::Source, fault.to_string()));
    }
    chunker.rows.close();
    Ok(chunker)
}

fn print(feed: &FeedTable, args: &PreviewArgs, mut chunker: Chunker) -> Outcome {
    let blocks = chunker.rows.take_closed();
    let masks = feed.masks_for(&args.recipient);
    let mask = |column: &str| masks.get(column).map(|mask| mask.name());
    let names: Vec<&str> = chunker
        .schema()
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let not_sent: Vec<&String> = masks
        .keys()
        .filter(|name| !names.contains(&name.as_str()))
        .collect();
    let rows = blocks
        .iter()
        .map(|block| decode_rows(block, &names))
        .collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<Map<String, serde_json::Value>> = rows.into_iter().flatten().collect();
    let withheld: u64 = blocks.iter().map(|block| block.totals.withheld).sum();
    let rejects: usize = blocks.iter().map(|block| block.rejects.len()).sum();
    let columns = chunker.schema().columns.iter().map(|column| MaskedColumn {
        name: column.name.clone(),
        kind: social::definition_diff::column_type(column),
        mask: mask(&column.name).map(str::to_owned),
    });
    let report = PreviewReport {
        feed: args.feed.clone(),
        recipient: args.recipient.clone(),
        definition: feed.digest_for(&args.recipient),
        columns: columns.collect(),
        not_sent: not_sent.into_iter().cloned().collect(),
        rows,
        withheld,
        rejects,
    };
    output::report(&report, args.json)?;
    Ok(Exit::Done)
}

/// The first rows of a feed as a recipient would get them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "masking preview")]
pub(super) struct PreviewReport {
    feed: FeedName,
    recipient: RecipientName,
    /// The digest of the definition for this recipient.
    definition: Digest,
    columns: Vec<MaskedColumn>,
    /// The columns that are not sent.
    not_sent: Vec<String>,
    /// The rows, with the columns as keys. Amounts, dates and times are texts.
    rows: Vec<Map<String, serde_json::Value>>,
    /// Rows withheld by holds or the block list.
    withheld: u64,
    /// Rows that cannot be carried.
    rejects: usize,
}

/// A column.
#[derive(Debug, Serialize, JsonSchema)]
struct MaskedColumn {
    name: String,
    /// Its type.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of its mask.
    mask: Option<String>,
}

impl Report for PreviewReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!("feed {} as {} would get it", self.feed, self.recipient));
        let names = self.columns.iter().map(|column| column.name.chars().count());
        let width = names.max().unwrap_or(0);
        for (index, row) in self.rows.iter().enumerate() {
            view.line(format!("row {}", index + 1));
            for column in &self.columns {
                let value = match row.get(&column.name) {
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                    None => String::new(),
                };
                let mask = column
                    .mask
                    .as_ref()
                    .map_or(String::new(), |mask| format!("   ({mask})"));
                view.labelled(format!("  {:<width$}  ", column.name), format!("{value}{mask}"));
            }
        }
        let dropped = self.not_sent.join(", ");
        let dropped = if dropped.is_empty() { "none" } else { &dropped };
        view.line(format!("columns that are not sent: {dropped}"));
        view.line(format!(
            "{} rows, {} withheld by holds or the block list, {} rejected",
            self.rows.len(),
            self.withheld,
            self.rejects
        ));
        view
    }
}

/// Decodes the rows of a block.
fn decode_rows(block: &Block, names: &[&str]) -> Result<Vec<Map<String, serde_json::Value>>, Failure> {
    let mut reader = RowReader::new(&block.plain, names.len(), block.totals.rows);
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    while reader
        .next_into(&mut row)
        .map_err(|error| Failure::internal(&error))?
    {
        let named = names.iter().zip(&row);
        rows.push(
            named
                .map(|(name, value)| ((*name).to_owned(), to_json(*value)))
                .collect(),
        );
    }
    Ok(rows)
}

fn to_json(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!(format!("{} bytes", bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use disclosure::mask::{Keep, Mask};
    use schemas::column::{Column, ColumnType, RowSchema};
    use social::mask::Masks;
    use source::RowSink as _;

    use super::*;

    #[test]
    fn masking_preview_prints_the_encoded_rows() -> Result<(), Box<dyn std::error::Error>> {
        let column = |name: &str, kind| Column {
            name: name.into(),
            kind,
            nullable: true,
        };
        let schema = RowSchema {
            name: "f".into(),
            version: 1,
            columns: vec![
                column("id", ColumnType::Int8),
                column("memo", ColumnType::Text { max: None }),
                column("name", ColumnType::Text { max: None }),
            ],
            key: vec!["id".into()],
            tombstone: None,
        };
        let masks = [
            ("memo".to_owned(), Mask::Drop),
            ("name".to_owned(), Mask::Keep(Keep { first: 1, last: 0 })),
        ];
        let masks = Masks::new(masks.into(), &"insurer-a".parse()?, None)?.map(Arc::new);
        let mut chunker = Chunker::with_masks(&schema, &["id".into()], &[], None, masks)?;
        chunker.row(&[Value::Int(7), Value::Text("secret"), Value::Text("张三丰")]);
        chunker.rows.close();
        let blocks = chunker.rows.take_closed();
        let rows = decode_rows(&blocks[0], &["id", "name"])?;
        assert_eq!(serde_json::to_value(rows)?, json!([{ "id": 7, "name": "张*" }]));
        Ok(())
    }
}
