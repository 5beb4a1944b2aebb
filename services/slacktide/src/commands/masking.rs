//! `slacktide masking preview`: what a recipient would be sent, on real rows.
//!
//! It goes the way that the agent goes: the file's gate has to be open, orders to pause count, and the first rows of
//! the feed pass through the same code that packs chunks. What is printed is read back from the packed bytes.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use gate::{Gate, Orders, OwnPids};
use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::span::Span;
use schemas::control::{self, Action, AnyAction, Control};
use schemas::name::{FeedName, Lane, RecipientName};
use schemas::person::PersonKey;
use schemas::rows::RowReader;
use schemas::sign::SigningKey;
use schemas::value::Value;
use serde_json::{Map, json};
use social::chunker::{Block, Chunker};
use social::hold::{self, Holds, LaneHold};
use source::Source;
use tokio_util::sync::CancellationToken;

use super::operator::orders_in_force;
use crate::cli::Config;
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::feed::FeedTable;
use crate::settings::{self, SocialFile, load};

/// The commands about masks.
#[derive(Debug, Subcommand)]
pub(crate) enum MaskingCommand {
    /// Prints the first rows of a feed as a recipient would get them. Personal data, where no mask hides it.
    #[command(
        after_help = "Example:\n  slacktide masking preview --config config/social.toml --feed setl --recipient insurer-a --rows 3"
    )]
    Preview(PreviewArgs),
}

/// What is to be shown.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    #[command(flatten)]
    config: Config,
    /// The feed.
    #[arg(long, value_name = "NAME")]
    feed: FeedName,
    /// For whom.
    #[arg(long, value_name = "NAME")]
    recipient: RecipientName,
    /// How many rows are read.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rows: u16,
    /// How long to wait for the gate.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    wait: Span,
    /// Prints them as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command to its end.
pub(crate) async fn run(command: MaskingCommand) -> Outcome {
    let MaskingCommand::Preview(args) = command;
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let named = |feed: &&FeedTable| feed.name == args.feed && feed.recipients.contains(&args.recipient);
    let feed = loaded.value.feeds.iter().find(named).ok_or_else(|| {
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
        .and_then(|orders| paused(orders, &loaded.value, now))
    {
        return Err(Failure::new(Exit::TooBusy, why));
    }
    let hold = judge(&loaded, feed, &lane, orders.as_ref(), &key)?;
    let masks = settings::masks::lanes(&loaded)?.remove(&lane);
    let make = |columns: &schemas::column::RowSchema| {
        let chunker = Chunker::masking(columns, &feed.cursor, &feed.money, None, masks);
        let withhold = match &hold {
            LaneHold::Free(withhold) => withhold.clone(),
            LaneHold::Held(_) => None,
        };
        chunker
            .and_then(|chunker| chunker.withholding(withhold))
            .map_err(|error| Failure::usage(format!("feed {}: {error}", feed.name)))
    };
    let stop = CancellationToken::new();
    let read = rows(&loaded, feed, &args, make, &stop).await;
    stop.cancel();
    let chunker = read?;
    if let LaneHold::Held(why) = &hold {
        output::note(&format!("note: nothing is sent now: {why}"));
    }
    tell(feed, &args, chunker)
}

/// PURE: by whom the gate is paused, if it is.
fn paused(orders: &Control, file: &SocialFile, now: Timestamp) -> Option<String> {
    let scope = control::gate_of(&file.social.source);
    let pause = control::fold(orders, now)
        .find(|order| order.scope == scope && matches!(order.action, AnyAction::Known(Action::Pause)))?;
    Some(format!(
        "the gate is paused by {}: {}; nothing is read until `slacktide gate resume`",
        pause.actor, pause.reason
    ))
}

fn judge(
    loaded: &Loaded<SocialFile>,
    feed: &FeedTable,
    lane: &Lane,
    orders: Option<&Control>,
    key: &SigningKey,
) -> Result<LaneHold, Failure> {
    let persons = PersonKey::of(key).map_err(|error| Failure::internal(&error))?;
    let (persons, now) = (Arc::new(persons), Timestamp::now());
    let holds = Holds::of(orders.into_iter().flat_map(|orders| control::fold(orders, now)));
    let person = feed.person.as_deref();
    let hold = hold::judge(&holds, lane, person, Some(&persons));
    let list = settings::blocklist::keeper(loaded, key)?.map(|keeper| keeper.list());
    Ok(match list {
        Some(list) => hold::and_listed(hold, &list.borrow(), person, Some(&persons)),
        None => hold,
    })
}

/// Reads under permits of the gate, as the agent does.
async fn rows(
    loaded: &Loaded<SocialFile>,
    feed: &FeedTable,
    args: &PreviewArgs,
    make: impl FnOnce(&schemas::column::RowSchema) -> Result<Chunker, Failure>,
    stop: &CancellationToken,
) -> Result<Chunker, Failure> {
    let own = OwnPids::new();
    let more = crate::probes::signals(loaded)?;
    let (gate, sampling) = Gate::start(&compose::gate(loaded), &own, more, Orders::default(), stop)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let source = compose::source(loaded, gate.shut_flag())?;
    let telling = compose::tell_backends(Arc::clone(&source), own, stop.clone());
    let read = tokio::time::timeout(args.wait.get(), quantum(&gate, source.as_ref(), feed, args, make)).await;
    let verdict = gate.verdict();
    source.close().await;
    stop.cancel();
    sampling.joined().await;
    let _ = telling.await;
    read.unwrap_or_else(|_| {
        Err(Failure::new(
            Exit::TooBusy,
            format!(
                "the gate did not let it through within {}: {}; repeat it when the core has slack",
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
    make: impl FnOnce(&schemas::column::RowSchema) -> Result<Chunker, Failure>,
) -> Result<Chunker, Failure> {
    let permit = gate.permit().await;
    let mut reader = source.open_feed(&feed.definition(), &permit).await?;
    drop(permit);
    let mut chunker = make(reader.schema())?;
    loop {
        let permit = gate.permit().await;
        let reading = reader.fence(&permit).await?;
        let Some(fence) = reading.fence else {
            // Somebody's transaction is open, or the lag is not over.
            drop(permit);
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        };
        chunker.begin_quantum(Timestamp::now());
        let read = reader
            .read(None, &fence, usize::from(args.rows), &permit, &mut chunker)
            .await;
        match read {
            // What came before the gate shut is real, too.
            Ok(_) => break,
            Err(_) if permit.is_revoked() && chunker.open_since().is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(fault) = chunker.take_fault() {
        return Err(Failure::new(Exit::Source, fault.to_string()));
    }
    chunker.close();
    Ok(chunker)
}

fn tell(feed: &FeedTable, args: &PreviewArgs, mut chunker: Chunker) -> Outcome {
    let blocks = chunker.take_closed();
    let masks = feed.masks_of(&args.recipient);
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
        .map(|block| unpacked(block, &names))
        .collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<Map<String, serde_json::Value>> = rows.into_iter().flatten().collect();
    let withheld: u64 = blocks.iter().map(|block| block.totals.withheld).sum();
    let rejects: usize = blocks.iter().map(|block| block.rejects.len()).sum();
    if args.json {
        let columns = chunker.schema().columns.iter();
        let columns: Vec<_> = columns
            .map(|column| json!({ "name": column.name, "type": social::changed::kind(column), "mask": mask(&column.name) }))
            .collect();
        output::json(&json!({
            "feed": feed.name, "recipient": args.recipient, "definition": feed.digest_for(&args.recipient),
            "columns": columns, "not_sent": not_sent, "rows": rows, "withheld": withheld, "rejects": rejects,
        }))?;
        return Ok(Exit::Done);
    }
    output::line(&format!("feed {} as {} would get it", feed.name, args.recipient));
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for (at, row) in rows.iter().enumerate() {
        output::line(&format!("row {}", at + 1));
        for name in &names {
            let value = match row.get(*name) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => String::new(),
            };
            let mask = mask(name).map_or(String::new(), |mask| format!("   ({mask})"));
            output::line(&format!("  {name:<widest$}  {}{mask}", output::escape(&value)));
        }
    }
    let dropped = not_sent
        .iter()
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let dropped = if dropped.is_empty() { "none" } else { &dropped };
    output::line(&format!("columns that are not sent: {dropped}"));
    output::line(&format!(
        "{} rows, {withheld} withheld by holds or the block list, {rejects} that cannot be carried",
        rows.len()
    ));
    Ok(Exit::Done)
}

/// The rows in a block's bytes.
fn unpacked(block: &Block, names: &[&str]) -> Result<Vec<Map<String, serde_json::Value>>, Failure> {
    let mut reader = RowReader::new(&block.plain, names.len(), block.totals.rows);
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    while reader
        .next_into(&mut row)
        .map_err(|error| Failure::internal(&error))?
    {
        let named = names.iter().zip(&row);
        rows.push(
            named
                .map(|(name, value)| ((*name).to_owned(), shown(*value)))
                .collect(),
        );
    }
    Ok(rows)
}

fn shown(value: Value<'_>) -> serde_json::Value {
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
    use requests::mask::{Keep, Mask};
    use schemas::column::{Column, ColumnType, RowSchema};
    use social::mask::Masks;
    use source::RowSink as _;

    use super::*;

    #[test]
    fn what_is_printed_is_what_is_packed() -> Result<(), Box<dyn std::error::Error>> {
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
        let mut chunker = Chunker::masking(&schema, &["id".into()], &[], None, masks)?;
        chunker.row(&[Value::Int(7), Value::Text("secret"), Value::Text("张三丰")]);
        chunker.close();
        let blocks = chunker.take_closed();
        let rows = unpacked(&blocks[0], &["id", "name"])?;
        assert_eq!(serde_json::to_value(rows)?, json!([{ "id": 7, "name": "张*" }]));
        Ok(())
    }
}
