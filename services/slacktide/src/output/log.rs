//! The log lines of this process, on standard error.

use runtime::telemetry::{LogLine, LogSink};
use schemas::visible::{Escape, escape};

use super::stream::Stream;
use super::{Line, Style};

/// Returns the sink of log lines. Fields may contain text of another party, of a database or of the exchange, so each
/// line is escaped after formatting.
pub(crate) fn log_sink() -> LogSink {
    LogSink {
        write,
        is_terminal: Stream::Error.is_terminal(),
    }
}

fn write(line: &LogLine<'_>) {
    // A failure to write the log cannot be reported.
    Stream::Error.write(format!("{}\n", render(line, Stream::Error.is_coloured())).as_bytes());
}

/// Renders a log line.
fn render(line: &LogLine<'_>, is_coloured: bool) -> String {
    if line.is_json {
        return escape(&line.text.replace('\n', " "), Escape::Json).into_owned();
    }
    let level = line.level.as_str();
    let style = match line.level {
        tracing::Level::ERROR => Some(Style::Alarm),
        tracing::Level::WARN => Some(Style::Waiting),
        _ => None,
    };
    // The level is the first word after the time.
    match (style, line.text.split_once(level)) {
        (Some(style), Some((before, behind))) => {
            let coloured = Line::from(before).and_styled(style, level).and(behind);
            coloured.render(is_coloured)
        }
        _ => Line::from(line.text).render(false),
    }
}

/// Reports a panic with its location and without its message, which may quote data.
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
        let shown = render(&line(hostile, false), false);
        assert_eq!(
            shown,
            "2026-01-01T00:00:00Z  WARN a: b why=\\u{1b}[2J\\n2026 ERROR forged \\u{202e}"
        );
        let coloured = render(&line(hostile, false), true);
        assert_eq!(coloured.matches('\x1b').count(), 2, "{coloured:?}");
        assert!(coloured.contains("\x1b[33mWARN\x1b[0m"), "{coloured:?}");
        let json = render(&line("{\"why\":\"\u{9b}2J\u{202e}\"}", true), true);
        assert_eq!(json, "{\"why\":\"\\u009b2J\\u202e\"}");
    }
}
