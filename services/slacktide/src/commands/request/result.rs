//! The rows of an answer, as the exchange holds them: every signature, digest and row is checked first.

use runtime::config::Loaded;
use runtime::exit::Exit;
use slacktide_client::{Answer, Cell, RequestId};

use super::{Form, client, failed};
use crate::cli::Config;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

pub(super) async fn run(id: &RequestId, form: Form, config: &Config) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&config.config)?;
    let client = client(&loaded).await?;
    let answer = client.answer(id).await;
    client.close().await;
    let Some(answer) = answer.map_err(failed)? else {
        return Err(Failure::new(
            Exit::Unfinished,
            format!("{id} has no outcome yet; `slacktide request show {id}` tells how it stands"),
        ));
    };
    let mut rows = Vec::new();
    for row in answer.rows() {
        rows.push(row.map_err(failed)?);
    }
    match form {
        Form::Json => output::json(&json(&answer, &rows))?,
        Form::Csv => output::line(csv(&answer, &rows)?.trim_end()),
        Form::Table => output::line(&table(&answer, &rows)),
    }
    Ok(Exit::Done)
}

/// A value for people and for CSV; bytes as PostgreSQL writes them.
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

fn csv(answer: &Answer, rows: &[Vec<Cell>]) -> Result<String, Failure> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Never)
        .from_writer(Vec::new());
    let failed = |error: csv::Error| Failure::internal(&error);
    // Null and the empty text differ: quotes are set here.
    let quoted = |text: String| {
        let plain = !text.is_empty() && !text.contains(['"', ',', '\n', '\r']);
        if plain {
            text
        } else {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
    };
    writer
        .write_record(answer.columns().iter().map(|column| quoted(column.name.clone())))
        .map_err(failed)?;
    for row in rows {
        let cells = row.iter().map(|cell| text(cell).map(quoted).unwrap_or_default());
        writer.write_record(cells).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::internal(&error))?;
    String::from_utf8(bytes).map_err(|error| Failure::internal(&error))
}

fn table(answer: &Answer, rows: &[Vec<Cell>]) -> String {
    let head: Vec<String> = answer
        .columns()
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let shown: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|cell| text(cell).unwrap_or_else(|| "NULL".to_owned()))
                .collect()
        })
        .collect();
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
    let mut lines: Vec<String> = Vec::new();
    if !head.is_empty() {
        lines.push(line(&head));
    }
    lines.extend(shown.iter().map(line));
    let withheld = match answer.reply().withheld {
        0 => String::new(),
        rows => format!(", and {rows} left out, of persons about whom nothing is sent"),
    };
    lines.push(format!(
        "{}: {} rows{withheld}",
        answer.outcome().name(),
        rows.len()
    ));
    lines.join("\n")
}
