//! A format as an SQL condition.

use super::CursorFormat;
use super::time::TimeFormat;
use crate::keyset::literal;

impl CursorFormat {
    /// Returns the condition that a value has this format, for SQLite.
    pub(crate) fn sqlite(&self, column: &str) -> String {
        let text = format!("typeof({column}) = 'text'");
        match self {
            Self::Integer | Self::Epoch(_) => format!("typeof({column}) = 'integer'"),
            Self::Text => text,
            Self::Digits(length, _) => {
                format!(
                    "{text} AND {} AND {column} NOT GLOB '*[^0-9]*'",
                    bytes(column, *length, *length)
                )
            }
            Self::Time(format) => {
                let whole = picture(format, "[0-9]");
                let zone = format.zone.len();
                if format.fraction.is_some() || format.separator.is_none() || !format.seconds {
                    let length = length(format);
                    let glob = literal(&(whole + &format.zone));
                    return format!(
                        "{text} AND {} AND {column} GLOB {glob}",
                        bytes(column, length, length)
                    );
                }
                let short = literal(&format!("{whole}{}", format.zone));
                let long = literal(&format!("{whole}.[0-9]*{}", format.zone));
                format!(
                    "{text} AND {} AND instr(CAST({column} AS BLOB), x'00') = 0 AND ({column} GLOB {short} OR ({column} GLOB {long} \
                     AND substr({column}, 21, length({column}) - {}) NOT GLOB '*[^0-9]*'))",
                    bytes(column, 19 + zone, 29 + zone),
                    20 + zone
                )
            }
        }
    }

    /// Returns the condition that a text has this format, for PostgreSQL, or `None` if every text has it.
    pub(crate) fn postgres_text(&self, column: &str) -> Option<String> {
        let pattern = match self {
            Self::Digits(length, _) => format!("^[0-9]{{{length}}}$"),
            Self::Time(format) => {
                let whole = picture(format, "[0-9]");
                let fraction = match format.fraction {
                    None if format.seconds => "([.][0-9]{1,9})?",
                    _ => "",
                };
                let zone = format.zone.replace('+', "[+]");
                format!("^{whole}{fraction}{zone}$")
            }
            _ => return None,
        };
        Some(format!("{column} ~ {}", literal(&pattern)))
    }
}

/// Returns the pattern of the format without its zone and variable fraction, with `digit` for each digit.
fn picture(format: &TimeFormat, digit: &str) -> String {
    let mut picture = "0000-00-00".to_owned();
    if let Some(separator) = format.separator {
        picture.push(separator);
        picture.push_str("00:00");
    }
    if format.seconds {
        picture.push_str(":00");
    }
    let fraction = format.fraction.unwrap_or(0);
    let picture = picture.replace('0', digit);
    match fraction {
        0 => picture,
        count => format!("{picture}[.]{}", digit.repeat(count)),
    }
}

/// Returns the length in bytes of a text of the format.
fn length(format: &TimeFormat) -> usize {
    let clock = match (format.separator, format.seconds) {
        (None, _) => 0,
        (Some(_), false) => 6,
        (Some(_), true) => 9,
    };
    let fraction = format
        .fraction
        .map_or(0, |count| if count == 0 { 0 } else { count + 1 });
    10 + clock + fraction + format.zone.len()
}

/// Compares the length in bytes, because patterns end at a NUL.
fn bytes(column: &str, least: usize, most: usize) -> String {
    let bytes = format!("length(CAST({column} AS BLOB))");
    if least == most {
        format!("{bytes} = {least}")
    } else {
        format!("{bytes} BETWEEN {least} AND {most}")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rusqlite::Connection;
    use schemas::cursor::Scalar;

    use super::*;

    const TEXTS: [&str; 16] = [
        "2026-11-29",
        "2026-11-29 10:00",
        "2026-11-29 10:00:00",
        "2026-11-29 10:00:00.25",
        "2026-11-29T10:00:00",
        "2026-11-29T10:00:00Z",
        "2026-11-29T10:00:00.5Z",
        "2026-11-29T10:00:00.25Z",
        "2026-11-29 10:00:00+08:00",
        "2026-11-29 10:00:00.5+08:00",
        "2026-11-29 10:00:00-05",
        "1764410400",
        "17644104",
        "n/a",
        "",
        "2026-11-29 10:00:00\0 and more",
    ];

    /// The condition and the format agree on every pair of texts.
    #[test]
    fn cursor_condition_matches_texts_of_the_format_only() -> rusqlite::Result<()> {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let core = Connection::open_in_memory()?;
        let format = |text: &str| CursorFormat::detect(&Scalar::Text(text.to_owned()), now, true);
        for one in TEXTS {
            let own = format(one);
            for other in TEXTS {
                let sql = format!("SELECT ({}) IS TRUE FROM (SELECT ?1 AS c)", own.sqlite("c"));
                let holds: bool = core.query_row(&sql, [other], |row| row.get(0))?;
                let fits = own == format(other) || own == CursorFormat::Text;
                assert_eq!(holds, fits, "{one:?} {other:?} {sql}");
            }
            for other in ["17", "x'3137'", "1.5", "NULL"] {
                let sql = format!("SELECT ({}) IS TRUE FROM (SELECT {other} AS c)", own.sqlite("c"));
                assert!(
                    !core.query_row(&sql, [], |row| row.get::<_, bool>(0))?,
                    "{one:?} {other}"
                );
            }
        }
        for (value, fits) in [
            ("17", true),
            ("'17'", false),
            ("1.0", false),
            ("x'31'", false),
            ("NULL", false),
        ] {
            let condition = CursorFormat::Integer.sqlite("c");
            let sql = format!("SELECT ({condition}) IS TRUE FROM (SELECT {value} AS c)");
            assert_eq!(
                core.query_row(&sql, [], |row| row.get::<_, bool>(0))?,
                fits,
                "{value}"
            );
        }
        Ok(())
    }

    #[test]
    fn cursor_condition_of_postgres_is_a_pattern() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let condition =
            |text: &str| CursorFormat::detect(&Scalar::Text(text.to_owned()), now, false).postgres_text("c");
        assert_eq!(
            condition("2026-11-29T10:00:00+08:00").unwrap(),
            "c ~ '^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][+]08:00$'"
        );
        assert!(
            condition("2026-11-29 10:00:00.5")
                .unwrap()
                .ends_with("([.][0-9]{1,9})?$'")
        );
        assert_eq!(condition("17").unwrap(), "c ~ '^[0-9]{2}$'");
        assert_eq!(condition("n/a"), None);
    }
}
