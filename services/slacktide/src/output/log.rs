//! The log lines of this process, on standard error.

use runtime::telemetry::{LogLine, LogSink};
use schemas::visible::{Escape, escape};

use super::{Line, Stream, Style};

/// Returns where log lines go. Fields may hold texts of another party, of a database or of the exchange, so each line
/// is escaped whole, whatever its formatter did.
pub(crate) fn log_sink() -> LogSink {
    LogSink {
        write,
        is_terminal: Stream::Error.is_terminal(),
    }
}

fn write(line: &LogLine<'_>) {
    // Nobody is left to be told that the log cannot be written.
    let _ = Stream::Error.write(format!("{}\n", rendered(line, Stream::Error.is_coloured())).as_bytes());
}

/// PURE: a log line as it is written.
fn rendered(line: &LogLine<'_>, is_coloured: bool) -> String {
    if line.is_json {
        return escape(&line.text.replace('\n', " "), Escape::Json).into_owned();
    }
    let level = line.level.as_str();
    let style = match line.level {
        tracing::Level::ERROR => Some(Style::Alarm),
        tracing::Level::WARN => Some(Style::Waiting),
        _ => None,
    };
    // The level is the first word behind the time.
    match (style, line.text.split_once(level)) {
        (Some(style), Some((before, behind))) => {
            let coloured = Line::from(before).and_styled(style, level).and(behind);
            coloured.render(is_coloured)
        }
        _ => Line::from(line.text).render(false),
    }
}

/// Shows a panic as an error, with its place and without its message, which may quote what was read.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        let what = runtime::supervise::describe(panic);
        super::error(&format!("internal error in thread {name}: {what}; report it"));
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            super::notes(trace.to_string().lines());
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, is_json: bool) -> LogLine<'_> {
        LogLine {
            level: tracing::Level::WARN,
            text,
            is_json,
        }
    }

    #[test]
    fn log_hostile_field_is_escaped_in_both_forms() {
        let hostile = "2026-01-01T00:00:00Z  WARN a: b why=\u{1b}[2J\n2026 ERROR forged \u{202e}";
        let shown = rendered(&line(hostile, false), false);
        assert_eq!(
            shown,
            "2026-01-01T00:00:00Z  WARN a: b why=\\u{1b}[2J\\n2026 ERROR forged \\u{202e}"
        );
        let coloured = rendered(&line(hostile, false), true);
        assert_eq!(coloured.matches('\x1b').count(), 2, "{coloured:?}");
        assert!(coloured.contains("\x1b[33mWARN\x1b[0m"), "{coloured:?}");
        let json = rendered(&line("{\"why\":\"\u{9b}2J\u{202e}\"}", true), true);
        assert_eq!(json, "{\"why\":\"\\u009b2J\\u202e\"}");
    }
}
