//! Prints the rows of an answer from the exchange, after verification of every signature, digest and row.

use runtime::config::Loaded;
use runtime::exit::Exit;
use slacktide_client::client::has_answer;
use slacktide_client::status::State;
use slacktide_client::{Answer, Cell, RequestId};

use super::{ResultFormat, client, csv, failed, render};
use crate::cli::Config;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

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
    match format {
        ResultFormat::Json => output::json(&json(&answer, &rows))?,
        ResultFormat::Csv => {
            let names: Vec<&str> = answer
                .columns()
                .iter()
                .map(|column| column.name.as_str())
                .collect();
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
            // The rows alone do not show that more exist, or that none exist.
            if !matches!(answer.outcome(), slacktide_client::Outcome::Answered { .. }) {
                output::note(&format!("{id} is {}", render::outcome(answer.outcome())));
            }
        }
        ResultFormat::Table => {
            let names: Vec<&str> = answer
                .columns()
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            output::lines(table(&names, &rows));
            output::line(&outcome(
                answer.outcome().name(),
                rows.len(),
                answer.reply().withheld,
            ));
        }
    }
    Ok(Exit::Done)
}

/// Reports why there are no rows: an empty table would look like an answer.
fn without_answer(id: &RequestId, answer: &Answer, format: ResultFormat) -> Outcome {
    let outcome = answer.outcome();
    if format == ResultFormat::Json {
        let reply = answer.reply();
        let mut entry =
            serde_json::to_value(State::from(outcome)).map_err(|error| Failure::internal(&error))?;
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("state");
            entry.insert("id".to_owned(), serde_json::json!(reply.id));
            entry.insert("outcome".to_owned(), serde_json::json!(outcome.name()));
        }
        output::json(&entry)?;
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

fn json(answer: &Answer, rows: &[Vec<Cell>]) -> serde_json::Value {
    let value = |cell: &Cell| match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Bool(flag) => serde_json::json!(flag),
        Cell::Int(number) => serde_json::json!(number),
        Cell::Float(number) => serde_json::json!(number),
        Cell::Text(_) | Cell::Bytes(_) => serde_json::json!(text(cell)),
    };
    let names: Vec<&str> = answer
        .columns()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(value).collect()).collect();
    serde_json::json!({
        "id": answer.reply().id,
        "outcome": answer.outcome().name(),
        "read_from": answer.reply().read_from,
        "read_to": answer.reply().read_to,
        "withheld": answer.reply().withheld,
        "columns": names,
        "rows": rows,
    })
}

/// Renders a table of aligned columns. Cells are escaped first, so that the columns stay aligned.
pub(in crate::commands) fn table(names: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
    let escaped = |text: &str| output::escape(text).into_owned();
    let head: Vec<String> = names.iter().map(|name| escaped(name)).collect();
    let cell = |cell: &Cell| text(cell).map_or_else(|| "NULL".to_owned(), |text| escaped(&text));
    let shown: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let mut widths = vec![0; head.len()];
    for row in std::iter::once(&head).chain(&shown) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = (!head.is_empty()).then_some(&head);
    head.into_iter().chain(&shown).map(line).collect()
}

/// Formats the summary below the rows.
fn outcome(name: &str, rows: usize, withheld: u64) -> String {
    let withheld = match withheld {
        0 => String::new(),
        rows => format!(", {rows} withheld (block list or holds)"),
    };
    format!("{name}: {rows} rows{withheld}")
}
