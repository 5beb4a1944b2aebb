//! Prints the rows of an answer from the exchange, after verification of every signature, digest and row.

use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use slacktide_client::client::has_answer;
use slacktide_client::status::State;
use slacktide_client::{Answer, Cell, RequestId};

use super::{client, csv, failed, render};
use crate::cli::Config;
use crate::cli::request::ResultFormat;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, Table, Time, View};
use crate::settings::{CommercialFile, load};

/// An answer, or the outcome without one.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "request result")]
pub(in crate::commands) struct ResultReport {
    /// The id of the request.
    id: String,
    /// `answered`, `empty`, `partial`, `refused`, `expired`, `cancelled` or `failed`.
    outcome: String,
    /// The code of a refusal.
    code: Option<String>,
    /// Why the answer is not complete, or why there is none.
    reason: Option<String>,
    /// The earliest time to file a refused request again.
    retry_at: Option<Time>,
    /// When the first row was read; `null` if none was.
    read_from: Option<Time>,
    /// When the last row was read.
    read_to: Option<Time>,
    /// Rows that the bureau withheld.
    withheld: u64,
    /// The names of the columns.
    columns: Vec<String>,
    /// The values of each row, in the order of the columns. Amounts, dates and times are texts.
    rows: Vec<Vec<Value>>,
    #[serde(skip)]
    view: View,
}

impl ResultReport {
    fn new(answer: &Answer, rows: &[Vec<Cell>]) -> Self {
        let (reply, outcome) = (answer.reply(), answer.outcome());
        let (code, reason, retry_at) = match State::from(outcome) {
            State::Refused {
                code,
                reason,
                retry_at,
            } => (Some(code.to_string()), Some(reason), retry_at),
            State::Partial { reason, .. } | State::Failed { reason } => (None, Some(reason), None),
            _ => (None, None, None),
        };
        let names = answer.columns().iter().map(|column| column.name.clone());
        Self {
            id: reply.id.to_string(),
            outcome: outcome.name().to_owned(),
            code,
            reason,
            retry_at: retry_at.map(Time),
            read_from: reply.read_from.map(Time),
            read_to: reply.read_to.map(Time),
            withheld: reply.withheld,
            columns: names.collect(),
            rows: rows.iter().map(|row| row.iter().map(value).collect()).collect(),
            view: View::new(),
        }
    }
}

impl Report for ResultReport {
    fn view(&self) -> View {
        self.view.clone()
    }
}

pub(super) async fn run(wanted: &str, format: ResultFormat, spreadsheet: bool, config: &Config) -> Outcome {
    if spreadsheet && format != ResultFormat::Csv {
        return Err(Failure::usage(
            "--spreadsheet is for --format csv: add it, or leave --spreadsheet out",
        ));
    }
    let loaded: Loaded<CommercialFile> = load(&config.config)?;
    let client = client(&loaded).await?;
    let answer = async {
        let id = client.find(wanted).await?;
        let answer = client.answer(&id).await?;
        Ok((id, answer))
    };
    let answer = answer.await;
    client.close().await;
    let (id, answer) = answer.map_err(failed)?;
    let Some(answer) = answer else {
        return Err(Failure::new(
            Exit::Unfinished,
            format!("{id} has no outcome yet; `slacktide request show {id}` shows its state"),
        ));
    };
    if !has_answer(answer.outcome()) {
        return without_answer(&id, &answer, format);
    }
    let mut rows = Vec::new();
    for row in answer.rows() {
        rows.push(row.map_err(failed)?);
    }
    let names: Vec<&str> = answer
        .columns()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    match format {
        ResultFormat::Json => output::report(&ResultReport::new(&answer, &rows), true)?,
        ResultFormat::Jsonl => {
            output::json_lines(rows.iter().map(|row| object(&names, row)))?;
            note_incomplete(&id, &answer);
        }
        ResultFormat::Csv => {
            let cells = |row: &Vec<Cell>| row.iter().map(text).collect::<Vec<_>>();
            let rows: Vec<_> = rows.iter().map(cells).collect();
            // A file keeps every value unchanged; a terminal must not act on one.
            let is_shown = output::is_terminal();
            output::exact(&csv::records(
                &names,
                &rows,
                csv::Cells {
                    spreadsheet,
                    is_shown,
                },
            )?);
            note_incomplete(&id, &answer);
        }
        ResultFormat::Table => {
            let mut view = View::new();
            if let Some(table) = table(&names, &rows) {
                view.table(table);
            }
            view.line(outcome(
                answer.outcome().name(),
                rows.len(),
                answer.reply().withheld,
            ));
            output::view(&view);
        }
    }
    Ok(Exit::Done)
}

/// Notes an outcome that the rows alone do not show: more rows exist, or none.
fn note_incomplete(id: &RequestId, answer: &Answer) {
    if !matches!(answer.outcome(), slacktide_client::Outcome::Answered { .. }) {
        output::note(&format!("{id} is {}", render::outcome(answer.outcome())));
    }
}

/// Reports why there are no rows: an empty table would look like an answer.
fn without_answer(id: &RequestId, answer: &Answer, format: ResultFormat) -> Outcome {
    let outcome = answer.outcome();
    if format == ResultFormat::Json {
        output::report(&ResultReport::new(answer, &[]), true)?;
    }
    Err(Failure::new(
        Exit::NoAnswer,
        format!("{id} has no rows: it is {}", render::outcome(outcome)),
    ))
}

/// Formats a value for a table or CSV; bytes in the format of PostgreSQL.
fn text(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Bool(flag) => flag.to_string(),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Bytes(bytes) => bytes
            .iter()
            .fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    })
}

/// Converts a value to JSON. Bytes are a text in the format of PostgreSQL.
fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(flag) => json!(flag),
        Cell::Int(number) => json!(number),
        Cell::Float(number) => json!(number),
        Cell::Text(_) | Cell::Bytes(_) => json!(text(cell)),
    }
}

/// Converts a row to an object with the columns as keys.
fn object(names: &[&str], row: &[Cell]) -> Value {
    let pairs = names.iter().zip(row);
    Value::Object(
        pairs
            .map(|(name, cell)| ((*name).to_owned(), value(cell)))
            .collect(),
    )
}

/// Creates the table of the rows, or `None` without columns.
pub(in crate::commands) fn table(names: &[&str], rows: &[Vec<Cell>]) -> Option<Table> {
    if names.is_empty() {
        return None;
    }
    let mut table = names.iter().fold(Table::new(), |table, name| table.text(name));
    for row in rows {
        table.row(
            row.iter()
                .map(|cell| text(cell).unwrap_or_else(|| "NULL".to_owned())),
        );
    }
    Some(table)
}

/// Formats the summary below the rows.
fn outcome(name: &str, rows: usize, withheld: u64) -> String {
    let withheld = match withheld {
        0 => String::new(),
        rows => format!(", {rows} withheld (block list or holds)"),
    };
    format!("{name}: {rows} rows{withheld}")
}
