//! Log lines on standard error: one JSON object a line, in the form of the agents' lines (docs/logging.md).
//!
//! The program enables them; a test that runs the helper as a library logs nothing.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

/// A field of a line.
pub type Field<'a> = (&'a str, Value);

static IS_ENABLED: AtomicBool = AtomicBool::new(false);

/// Begins to write log lines.
pub fn enable() {
    IS_ENABLED.store(true, Ordering::Relaxed);
}

/// Logs a start, a stop or a change of state.
pub fn info(message: &str, fields: &[Field<'_>]) {
    write("INFO", message, fields);
}

/// Logs a fault that is retried, or a decision worth knowing.
pub fn warn(message: &str, fields: &[Field<'_>]) {
    write("WARN", message, fields);
}

/// Logs a fault that an operator has to repair.
pub fn error(message: &str, fields: &[Field<'_>]) {
    write("ERROR", message, fields);
}

fn write(level: &str, message: &str, fields: &[Field<'_>]) {
    if !IS_ENABLED.load(Ordering::Relaxed) {
        return;
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    to_standard_error(&render(since_epoch, level, message, fields));
}

/// Writes a line to standard error.
pub fn to_standard_error(line: &str) {
    #[allow(
        clippy::disallowed_methods,
        reason = "the only writer to standard error of this program; what it writes is escaped"
    )]
    let mut out = std::io::stderr().lock();
    // A failure to write the log cannot be reported.
    let _ = out.write_all(format!("{line}\n").as_bytes());
}

/// PURE. Renders a line. Every character outside of ASCII is escaped, so no value acts on a terminal.
fn render(since_epoch: Duration, level: &str, message: &str, fields: &[Field<'_>]) -> String {
    let mut line = format!(
        "{{\"timestamp\":\"{}\",\"level\":\"{level}\",\"message\":{}",
        timestamp(since_epoch),
        Value::from(message)
    );
    let fields: Map<String, Value> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    // The object's first brace is the comma of the line.
    let fields = Value::Object(fields).to_string();
    if let Some(inner) = fields.strip_prefix('{').filter(|inner| *inner != "}") {
        line.push(',');
        line.push_str(inner);
    } else {
        line.push('}');
    }
    escape(&line)
}

/// PURE. Escapes what is not printable ASCII, as JSON does in a string.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

/// PURE. Returns a time as RFC 3339 in UTC. The calendar is Howard Hinnant's `civil_from_days`.
fn timestamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0; years begin in March, so a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        second_of_day / 3_600,
        second_of_day / 60 % 60,
        second_of_day % 60,
        since_epoch.subsec_micros()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_is_rfc_3339_in_utc() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_795_421_564, "2026-11-23T08:12:44.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(timestamp(Duration::from_secs(seconds)), wanted, "{seconds}");
        }
        assert!(timestamp(Duration::from_micros(120_381)).ends_with("00.120381Z"));
    }

    #[test]
    fn log_line_is_one_json_object_in_ascii() {
        let line = render(
            Duration::ZERO,
            "WARN",
            "request refused",
            &[
                ("requester_pid", 7.into()),
                ("why", "a \"path\"\n\u{1b}[31m \u{202e}漢\u{1f30d}".into()),
            ],
        );
        assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line}");
        assert!(
            line.starts_with(
                r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"WARN","message":"request refused","#
            ),
            "{line}"
        );
        let parsed: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(parsed["requester_pid"], 7);
        assert_eq!(parsed["why"], "a \"path\"\n\u{1b}[31m \u{202e}漢\u{1f30d}");
        let bare: Value =
            serde_json::from_str(&render(Duration::ZERO, "INFO", "stopped", &[])).expect("JSON");
        assert_eq!(bare["message"], "stopped");
    }
}
