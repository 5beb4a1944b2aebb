//! `slacktide audit diff`.

use std::collections::BTreeMap;

use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::name::{FeedName, Lane, RecipientName};
use serde::Serialize;
use store::comparison::{RowDifference, RowDifferenceKind};
use store::merge::ChunkNumber;
use store::{Contents, LaneContents, StoredRow, TableComparison, TableDifferences};

use crate::cli::DiffArgs;
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Line, Progress, Report, Style, View};
use crate::settings::store_address::StoreAddress;

/// How many rows are read between two updates of the progress.
const SHOWN_ROWS: u64 = 1_000;

/// Runs the command.
pub(super) async fn run(args: DiffArgs) -> Outcome {
    let (rebuilt, live) = (
        StoreAddress::read(&args.rebuilt)?,
        StoreAddress::read(&args.live)?,
    );
    let mut rebuilt = compose::contents(&rebuilt).await?;
    let mut live = compose::contents(&live).await?;
    let is_wanted = |lane: &LaneContents| args.feed.as_ref().is_none_or(|feed| lane.lane.feed == *feed);
    let mut expected = rebuilt.lanes().await?;
    expected.retain(is_wanted);
    let found = live.lanes().await?;
    let mut report = DiffReport::default();
    for lane in &found {
        if is_wanted(lane) && !expected.iter().any(|other| other.lane == lane.lane) {
            report.not_covered.push(format!(
                "{}: the rebuilt store does not have this feed",
                lane.lane
            ));
        }
    }
    if expected.is_empty() {
        return Err(Failure::usage(
            "the rebuilt store has no feed to compare: rebuild it first with `slacktide audit rebuild`",
        ));
    }
    let mut progress = Progress::new("rows read", None);
    for lane in &expected {
        let Some(other) = found.iter().find(|other| other.lane == lane.lane) else {
            report.items.push(DiffItem::absent(lane));
            continue;
        };
        let differences = compare((rebuilt.as_mut(), lane), (live.as_mut(), other), &mut progress).await?;
        report
            .items
            .push(DiffItem::new((lane, other), &differences, &args));
    }
    drop(progress);
    report.is_equal = report.items.iter().all(|item| item.is_equal);
    for item in &report.items {
        report.not_covered.extend(item.not_covered());
    }
    output::report(&report, args.json)?;
    Ok(match (report.is_equal, report.not_covered.is_empty()) {
        (false, _) => Exit::Evidence,
        (true, false) => Exit::Unfinished,
        (true, true) => Exit::Done,
    })
}

async fn compare(
    (rebuilt, expected): (&mut dyn Contents, &LaneContents),
    (live, found): (&mut dyn Contents, &LaneContents),
    progress: &mut Progress,
) -> Result<TableDifferences, Failure> {
    let mut comparison = TableComparison::new(expected, found);
    let mut read = 0_u64;
    let mut show = |feed: &FeedName| {
        read += 1;
        if read.is_multiple_of(SHOWN_ROWS) {
            progress.set(read, feed.as_str());
        }
    };
    let feed = &expected.lane.feed;
    rebuilt
        .rows(expected, &mut |row: &StoredRow<'_>| {
            show(feed);
            comparison.expect(row);
        })
        .await?;
    live.rows(found, &mut |row: &StoredRow<'_>| {
        show(feed);
        comparison.find(row);
    })
    .await?;
    if comparison.end_first_pass() {
        rebuilt
            .rows(expected, &mut |row: &StoredRow<'_>| {
                show(feed);
                comparison.keep_expected(row);
            })
            .await?;
        live.rows(found, &mut |row: &StoredRow<'_>| {
            show(feed);
            comparison.keep_found(row);
        })
        .await?;
    }
    Ok(comparison.finish())
}

/// How a rebuilt store and a live one differ.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(title = "audit diff")]
pub(in crate::commands) struct DiffReport {
    /// Whether no feed differs.
    is_equal: bool,
    /// The feeds.
    items: Vec<DiffItem>,
    /// What the comparison does not prove.
    not_covered: Vec<String>,
}

/// How the rows of a feed differ.
#[derive(Debug, Serialize, JsonSchema)]
struct DiffItem {
    recipient: RecipientName,
    feed: FeedName,
    /// Whether nothing differs.
    is_equal: bool,
    /// Whether the live store has no table of the feed.
    is_absent: bool,
    /// The last chunk without a gap of the rebuilt store, as `EPOCH.NUMBER`.
    rebuilt_frontier: String,
    /// The same of the live store; `null` if it has no table.
    live_frontier: Option<String>,
    /// Rows of the rebuilt store.
    rebuilt_rows: u64,
    /// Rows of the live store.
    live_rows: u64,
    /// Rows that are equal.
    equal: u64,
    /// Rows that the live store lacks.
    missing: u64,
    /// Rows that only the live store has.
    surplus: u64,
    /// Rows with other values, or of another chunk.
    differing: u64,
    /// Rows of the live store of chunks that the rebuilt store does not hold; no difference.
    newer: u64,
    /// Rows with a key that another row of the same store has.
    repeated: u64,
    /// The number of differing rows by column; `(chunk)` where the row is of another chunk.
    columns: BTreeMap<String, u64>,
    /// Columns of the rebuilt store only.
    rebuilt_columns: Vec<String>,
    /// Columns of the live store only.
    live_columns: Vec<String>,
    /// The first differing rows.
    rows: Vec<DiffRow>,
}

/// A row that differs.
#[derive(Debug, Serialize, JsonSchema)]
struct DiffRow {
    /// The values of its key.
    key: Vec<Option<String>>,
    /// `missing` in the live store, `surplus` there, or `differing`.
    difference: &'static str,
    /// The columns that differ.
    columns: Vec<DiffColumn>,
}

/// A column that differs.
#[derive(Debug, Serialize, JsonSchema)]
struct DiffColumn {
    /// Its name in the feed.
    name: String,
    /// The rebuilt store's and the live store's value; `null` without `--values`.
    values: Option<[Option<String>; 2]>,
}

fn format_chunk(chunk: ChunkNumber) -> String {
    format!("{}.{}", chunk.epoch, chunk.number)
}

impl DiffItem {
    fn new(
        (expected, found): (&LaneContents, &LaneContents),
        differences: &TableDifferences,
        args: &DiffArgs,
    ) -> Self {
        let [rebuilt_columns, live_columns] = differences.unmatched_columns.clone();
        let rows = differences.rows.iter().take(args.limit);
        // A row that the live store lacks may have been deleted by a chunk that the rebuilt one does not hold.
        let is_ahead = found.frontier > expected.frontier;
        let judged = TableDifferences {
            missing: if is_ahead { 0 } else { differences.missing },
            rows: Vec::new(),
            columns: BTreeMap::new(),
            ..differences.clone()
        };
        Self {
            is_equal: judged.is_equal(),
            live_frontier: Some(format_chunk(found.frontier)),
            live_rows: differences.found,
            is_absent: false,
            equal: differences.equal,
            missing: differences.missing,
            surplus: differences.surplus,
            differing: differences.differing,
            newer: differences.newer,
            repeated: differences.repeated,
            columns: differences.columns.clone(),
            rebuilt_columns,
            live_columns,
            rows: rows.map(|row| DiffRow::new(row, args.values)).collect(),
            rebuilt_rows: differences.expected,
            ..Self::absent(expected)
        }
    }

    /// A feed that the live store does not have.
    fn absent(expected: &LaneContents) -> Self {
        let Lane { recipient, feed } = expected.lane.clone();
        Self {
            recipient,
            feed,
            is_equal: false,
            is_absent: true,
            rebuilt_frontier: format_chunk(expected.frontier),
            live_frontier: None,
            rebuilt_rows: 0,
            live_rows: 0,
            equal: 0,
            missing: 0,
            surplus: 0,
            differing: 0,
            newer: 0,
            repeated: 0,
            columns: BTreeMap::new(),
            rebuilt_columns: Vec::new(),
            live_columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    fn not_covered(&self) -> Option<String> {
        let live = self.live_frontier.as_ref()?;
        (*live != self.rebuilt_frontier).then(|| {
            format!(
                "{}: the rebuilt store ends at chunk {}, the live one at {live}: {} newer rows are not compared, and {} missing \
                 ones may have been deleted since. To compare all: slacktide audit rebuild --feed {} --to {live}",
                self.feed, self.rebuilt_frontier, self.newer, self.missing, self.feed
            )
        })
    }
}

impl DiffRow {
    fn new(row: &RowDifference, shows_values: bool) -> Self {
        let (difference, columns) = match &row.kind {
            RowDifferenceKind::Missing => ("missing", Vec::new()),
            RowDifferenceKind::Surplus => ("surplus", Vec::new()),
            RowDifferenceKind::Columns(columns) => {
                let column = |(name, values): (&String, &[Option<String>; 2])| DiffColumn {
                    name: name.clone(),
                    values: shows_values.then(|| values.clone()),
                };
                ("differing", columns.iter().map(column).collect())
            }
        };
        Self {
            key: row.key.clone(),
            difference,
            columns,
        }
    }

    fn describe(&self) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
        let key: Vec<String> = self.key.iter().map(text).collect();
        let column = |column: &DiffColumn| match &column.values {
            Some([rebuilt, live]) => format!("{} ({} / {})", column.name, text(rebuilt), text(live)),
            None => column.name.clone(),
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        format!("{} {} {}", key.join(", "), self.difference, columns.join(", "))
            .trim_end()
            .to_owned()
    }
}

impl Report for DiffReport {
    fn view(&self) -> View {
        let mut view = View::new();
        for item in &self.items {
            let result = if item.is_absent {
                "the live store has no table of it".to_owned()
            } else if item.is_equal {
                format!("{} rows are equal, {} are newer", item.equal, item.newer)
            } else {
                format!(
                    "{} rows are equal, {} missing, {} surplus, {} differing, {} repeated, {} newer",
                    item.equal, item.missing, item.surplus, item.differing, item.repeated, item.newer
                )
            };
            let style = if item.is_equal { Style::Good } else { Style::Alarm };
            view.line(Line::styled(style, item.feed.as_str()).and(format!(": {result}")));
            for (name, rows) in &item.columns {
                view.line(format!("  column {name}: {rows} rows differ"));
            }
            for (store, names) in [("rebuilt", &item.rebuilt_columns), ("live", &item.live_columns)] {
                if !names.is_empty() {
                    view.line(format!(
                        "  columns of the {store} store only: {}",
                        names.join(", ")
                    ));
                }
            }
            for row in &item.rows {
                view.line(format!("  {}", row.describe()));
            }
        }
        for text in &self.not_covered {
            view.line(Line::styled(Style::Waiting, "NOT COVERED").and(format!(": {text}")));
        }
        view
    }
}
