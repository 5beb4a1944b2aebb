//! PURE: a line of the server's log: `[17] 2026/11/30 12:00:00.000000 [INF] Server is ready`.

/// The levels of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// `FTL`, `ERR`.
    Error,
    /// `WRN`.
    Warning,
    /// `INF`, and lines of another form.
    Info,
    /// `DBG`, `TRC`.
    Debug,
}

/// Returns level and text of a line.
pub(super) fn parse(line: &str) -> (Level, &str) {
    let line = line.trim_end();
    let Some((before, rest)) = line.split_once("] ") else {
        return (Level::Info, line);
    };
    // The process id, date and time precede the level.
    let level_and_text = if before.starts_with('[') && rest.contains('[') {
        rest.split_once('[').map_or(rest, |(_, level)| level)
    } else {
        return (Level::Info, line);
    };
    let Some((name, text)) = level_and_text.split_once("] ") else {
        return (Level::Info, line);
    };
    let level = match name {
        "FTL" | "ERR" => Level::Error,
        "WRN" => Level::Warning,
        "INF" => Level::Info,
        "DBG" | "TRC" => Level::Debug,
        _ => return (Level::Info, line),
    };
    (level, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_log_line_has_its_level_and_text() {
        let line = |level: &str| format!("[4121] 2026/11/30 12:00:00.123456 [{level}] Server [x] is ready\n");
        for (name, level) in [
            ("INF", Level::Info),
            ("WRN", Level::Warning),
            ("ERR", Level::Error),
            ("FTL", Level::Error),
            ("DBG", Level::Debug),
        ] {
            assert_eq!(parse(&line(name)), (level, "Server [x] is ready"));
        }
        for other in ["nats-server: open x: no such file", "[1] no level", "", "[ERR] x"] {
            assert_eq!(parse(other), (Level::Info, other));
        }
    }
}
