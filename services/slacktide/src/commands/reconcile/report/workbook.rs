//! The report as an Excel workbook.
//!
//! Excel keeps 15 digits of a number. So identifiers are texts, and a sum is a number only if it has no more. A text is never a
//! formula.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use runtime::exit::Exit;
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

use super::ReconcileReport;
use crate::failure::Failure;
use crate::output::Time;

/// The number of digits that Excel keeps of a number.
const EXACT_DIGITS: usize = 15;

/// Writes the report to a file, which is replaced.
pub(in super::super) fn write(report: &ReconcileReport, path: &Path) -> Result<(), Failure> {
    let failed = |what: String| Failure::new(Exit::Unfinished, format!("{}: {what}", path.display()));
    let bytes = workbook(report).map_err(|error| failed(error.to_string()))?;
    fs::write(path, bytes).map_err(|error| failed(format!("cannot be written: {error}; give another path")))
}

fn workbook(report: &ReconcileReport) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    summary(workbook.add_worksheet(), report)?;
    days(workbook.add_worksheet(), report)?;
    findings(workbook.add_worksheet(), report)?;
    costs(workbook.add_worksheet(), report)?;
    workbook.save_to_buffer()
}

fn summary(sheet: &mut Worksheet, report: &ReconcileReport) -> Result<(), XlsxError> {
    let mut rows = vec![
        ("lane", report.lane.clone()),
        ("result", report.verdict()),
        ("begun", report.begun_at.to_string()),
        ("ended", report.ended_at.to_string()),
        ("as of chunk", report.as_of.clone().unwrap_or_default()),
        ("rows at the core", report.core_rows.to_string()),
        ("rows at the store", report.store_rows.to_string()),
        ("late", report.late.to_string()),
        ("marked as deleted", report.deleted.to_string()),
        ("withheld", report.withheld.to_string()),
        ("rejected", report.rejected.to_string()),
        (
            "differing buckets that were not compared",
            report.buckets_not_compared.to_string(),
        ),
    ];
    let kinds = report.findings_by_kind.iter();
    rows.extend(kinds.map(|(kind, count)| (kind.as_str(), count.to_string())));
    let rows = rows
        .iter()
        .map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
    fill(sheet, "Summary", &["what", "value"], rows)
}

fn days(sheet: &mut Worksheet, report: &ReconcileReport) -> Result<(), XlsxError> {
    let sums = report.days.iter();
    let money: BTreeSet<&String> = sums
        .flat_map(|day| day.core_sums.keys().chain(day.store_sums.keys()))
        .collect();
    let mut names = ["day", "equal", "rows at the core", "rows at the store"]
        .map(str::to_owned)
        .to_vec();
    for column in &money {
        names.extend([format!("{column} at the core"), format!("{column} at the store")]);
    }
    let rows = report.days.iter().map(|day| {
        let counts = [day.core_rows.to_string(), day.store_rows.to_string()];
        let mut row = vec![day.day.clone().unwrap_or_default(), yes_or_no(day.is_equal)];
        row.extend(counts);
        for column in &money {
            let sum = |sums: &BTreeMap<String, String>| sums.get(*column).cloned().unwrap_or_default();
            row.extend([sum(&day.core_sums), sum(&day.store_sums)]);
        }
        row
    });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fill(sheet, "Days", &names, rows)
}

fn findings(sheet: &mut Worksheet, report: &ReconcileReport) -> Result<(), XlsxError> {
    let columns = report.key_columns();
    let mut names = vec!["difference", "error", "key digest"];
    names.extend(columns.iter().map(|name| name.as_str()));
    header(sheet, "Findings", &names)?;
    for (row, finding) in (1..).zip(&report.findings) {
        let own = [
            &finding.difference,
            &yes_or_no(finding.is_error),
            &finding.key_digest,
        ];
        let value = |name: &&String| finding.key.as_ref().and_then(|key| key.get(*name));
        let cells = own.into_iter().map(Some).chain(columns.iter().map(value));
        for (column, cell) in (0..).zip(cells) {
            if let Some(text) = cell {
                sheet.write_string(row, column, text)?;
            }
        }
    }
    sheet.autofit();
    Ok(())
}

fn costs(sheet: &mut Worksheet, report: &ReconcileReport) -> Result<(), XlsxError> {
    let names = ["request", "rows read", "quanta", "ms on the core", "from", "to"];
    let rows = report.costs.iter().map(|cost| {
        let time = |at: &Option<Time>| at.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![
            cost.request.clone(),
            cost.rows_read.to_string(),
            cost.quanta.to_string(),
            cost.source_ms.to_string(),
            time(&cost.read_from),
            time(&cost.read_to),
        ]
    });
    fill(sheet, "Readings of the core", &names, rows)
}

/// Writes a sheet in which exact numbers are numbers.
fn fill(
    sheet: &mut Worksheet,
    name: &str,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), XlsxError> {
    header(sheet, name, columns)?;
    for (row, cells) in (1..).zip(rows) {
        for (column, cell) in (0..).zip(&cells) {
            match exact(cell) {
                Some(number) => sheet.write_number(row, column, number)?,
                None => sheet.write_string(row, column, cell)?,
            };
        }
    }
    sheet.autofit();
    Ok(())
}

fn header(sheet: &mut Worksheet, name: &str, columns: &[&str]) -> Result<(), XlsxError> {
    sheet.set_name(name)?.set_freeze_panes(1, 0)?;
    let bold = Format::new().set_bold();
    for (column, name) in (0..).zip(columns) {
        sheet.write_string_with_format(0, column, *name, &bold)?;
    }
    Ok(())
}

/// Returns a plain decimal as a number, if Excel keeps all of its digits.
fn exact(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|sign| sign.is_ascii_digit() || sign == '.');
    let count = digits.chars().filter(char::is_ascii_digit).count();
    (is_plain && count <= EXACT_DIGITS).then(|| text.parse().ok())?
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workbook_keeps_every_digit() {
        assert_eq!(exact("123456789012.25"), Some(123_456_789_012.25));
        assert_eq!(exact("-0.10"), Some(-0.1));
        for text in [
            "1234567890123456",
            "12345678901234.01",
            "2026-01-31",
            "1.2.3",
            "",
            ".5",
            "=1+1",
            "1e5",
        ] {
            assert_eq!(exact(text), None, "{text:?}");
        }
    }
}
