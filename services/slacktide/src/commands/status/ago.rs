//! Formats durations and ages.

use jiff::Timestamp;

/// `3 s`, `5 min`, `2 h`, `4 d`; a negative value (clocks differ) is 0.
pub(crate) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Seconds from a time until now.
pub(crate) fn seconds(at: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(at).as_secs()
}

/// `3 s ago`.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(seconds(at, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_one_unit() {
        let all: Vec<String> = [-5, 59, 61, 7_300, 200_000].map(span).into();
        assert_eq!(all, ["0 s", "59 s", "1 min", "2 h", "2 d"]);
    }
}
