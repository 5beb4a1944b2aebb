//! Every declared type of a SQLite core, with values of other storage classes that SQLite permits.

use super::rng::{RandomValues as _, hex, quoted};
use harness::rng::Rng;

pub(super) struct Kind {
    pub(super) declared: &'static str,
    pub(super) values: fn(&mut Rng) -> SqlValue,
    pub(super) rule: Rule,
    /// The type of the column at the store's PostgreSQL.
    pub(super) store_type: &'static str,
}

/// A value as SQL, and the expected result of its row.
pub(super) struct SqlValue(pub(super) String, pub(super) Fate);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Carried,
    /// PostgreSQL cannot hold it in its type: the row is quarantined there, and arrives in SQLite.
    NotAtPostgres,
    /// No column of its declared type can hold it: the row is a reject.
    Rejected,
}

/// The expected value at the store.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// The same value of the same storage class.
    Same,
    Bool,
    /// A float of the same value.
    Float,
    /// A text, or bytes in PostgreSQL.
    Bytes,
    /// The decimal of the same value, as text.
    Decimal,
    /// The same text; in PostgreSQL what it reads from the text as this type.
    Time(&'static str),
    /// Any value: unchanged in SQLite, its text in PostgreSQL.
    Any,
}

impl Kind {
    pub(super) fn value(&self, rng: &mut Rng) -> SqlValue {
        if rng.percent(12) {
            return ok("NULL");
        }
        (self.values)(rng)
    }
}

fn ok(sql: impl Into<String>) -> SqlValue {
    SqlValue(sql.into(), Fate::Carried)
}

fn bad(sql: impl Into<String>) -> SqlValue {
    SqlValue(sql.into(), Fate::Rejected)
}

fn not_in_postgres(sql: impl Into<String>) -> SqlValue {
    SqlValue(sql.into(), Fate::NotAtPostgres)
}

/// Returns a text that no literal can write, or that is not valid UTF-8.
fn raw(bytes: &[u8]) -> String {
    format!("CAST(x'{}' AS TEXT)", hex(bytes))
}

/// Returns the odd value in 4 % of the calls.
fn mostly(c: &mut Rng, usual: SqlValue, odd: SqlValue) -> SqlValue {
    if c.percent(4) { odd } else { usual }
}

pub(super) const KINDS: &[Kind] = &[
    Kind {
        declared: "INTEGER",
        values: integers,
        rule: Rule::Same,
        store_type: "bigint",
    },
    Kind {
        declared: "UNSIGNED BIG INT",
        values: integers,
        rule: Rule::Same,
        store_type: "bigint",
    },
    Kind {
        declared: "REAL",
        values: reals,
        rule: Rule::Float,
        store_type: "double precision",
    },
    Kind {
        declared: "DOUBLE PRECISION",
        values: reals,
        rule: Rule::Float,
        store_type: "double precision",
    },
    Kind {
        declared: "TEXT",
        values: texts,
        rule: Rule::Same,
        store_type: "text",
    },
    Kind {
        declared: "VARCHAR(20)",
        values: texts,
        rule: Rule::Same,
        store_type: "text",
    },
    Kind {
        declared: "BLOB",
        values: blobs,
        rule: Rule::Bytes,
        store_type: "bytea",
    },
    Kind {
        declared: "VARBINARY(9)",
        values: |c| ok(format!("x'{}'", hex(&c.bytes(20)))),
        rule: Rule::Bytes,
        store_type: "bytea",
    },
    Kind {
        declared: "BOOLEAN",
        values: |c| {
            let usual = ok(c.pick(&["0", "1"]));
            mostly(c, usual, bad("2"))
        },
        rule: Rule::Bool,
        store_type: "boolean",
    },
    Kind {
        declared: "DECIMAL(16,2)",
        values: decimals,
        rule: Rule::Decimal,
        store_type: "numeric",
    },
    Kind {
        declared: "NUMERIC",
        values: decimals,
        rule: Rule::Decimal,
        store_type: "numeric",
    },
    Kind {
        declared: "DECIMAL_TEXT",
        values: |c| {
            let usual = ok(quoted(c.pick(&[
                "46.620000000000005",
                "0.10",
                "-0",
                "12345678901234567890123456789.00",
                "NaN",
                "-Infinity",
            ])));
            let odd = bad(quoted(c.pick(&["1e5", "+5", ".5", "5.", "n/a", "", "1,5"])));
            mostly(c, usual, odd)
        },
        rule: Rule::Decimal,
        store_type: "numeric",
    },
    Kind {
        declared: "DATE",
        values: |c| {
            let usual = ok(quoted(c.pick(&[
                "2026-01-31",
                "0044-03-15 BC",
                "infinity",
                "9999-12-31",
            ])));
            let odd = c.pick(&[
                "now",
                "",
                "31.1.2026",
                "2026-01-31 10:00:00",
                "today",
                "2026-02-31",
            ]);
            let odd = not_in_postgres(quoted(odd));
            mostly(c, usual, odd)
        },
        rule: Rule::Time("date"),
        store_type: "date",
    },
    Kind {
        declared: "DATETIME",
        values: |c| {
            let usual = ok(quoted(c.pick(&[
                "2026-01-31 10:00:00",
                "2026-01-31T10:00:00.123456",
                "2026-01-31 10:00",
                "2026-01-31",
                "0044-03-15 12:00:00 BC",
                "-infinity",
            ])));
            let odd = not_in_postgres(quoted(c.pick(&[
                "2026-01-31 10:00:00+08",
                "2026-01-31T10:00:00Z",
                "now",
                "2026-01-31 10:00:00.1234567",
                "tomorrow",
                "",
            ])));
            let odd = if c.percent(30) { bad("1769817600") } else { odd };
            mostly(c, usual, odd)
        },
        rule: Rule::Time("timestamp"),
        store_type: "timestamp without time zone",
    },
    Kind {
        declared: "TIMESTAMP WITH TIME ZONE",
        values: |c| {
            let usual = ok(quoted(c.pick(&[
                "2026-01-31 10:00:00+05:45",
                "2026-01-31T10:00:00Z",
                "2026-01-31 10:00:00.5",
                "1883-11-18 12:03:58-04:56:02",
                "infinity",
            ])));
            mostly(c, usual, not_in_postgres("'2026-01-31 10:00 Asia/Shanghai'"))
        },
        rule: Rule::Time("timestamptz"),
        store_type: "timestamp with time zone",
    },
    Kind {
        declared: "TIME",
        values: |c| {
            let usual = ok(quoted(c.pick(&[
                "10:00:00",
                "24:00:00",
                "10:00",
                "23:59:59.999999",
            ])));
            mostly(c, usual, not_in_postgres("'10:00:00+08'"))
        },
        rule: Rule::Time("time"),
        store_type: "time without time zone",
    },
    Kind {
        declared: "UUID",
        values: |c| {
            let usual = ok(format!(
                "'{:08x}-0000-4000-8000-{:012x}'",
                c.next() >> 32,
                c.next() >> 16
            ));
            mostly(c, usual, not_in_postgres("'no uuid'"))
        },
        rule: Rule::Same,
        store_type: "uuid",
    },
    Kind {
        declared: "JSON",
        values: |c| {
            let text = serde_json::Value::from(c.text(9)).to_string();
            let usual = ok(quoted(c.pick(&[
                "{\"a\" : [1.50, null]}",
                "[]",
                "\"\"",
                text.as_str(),
            ])));
            mostly(c, usual, not_in_postgres("'{no json'"))
        },
        rule: Rule::Same,
        store_type: "json",
    },
    Kind {
        declared: "",
        values: anything,
        rule: Rule::Any,
        store_type: "text",
    },
    Kind {
        declared: "STRING",
        values: |c| ok(quoted(c.pick(&["a", "漢", "", "infinity"]))),
        rule: Rule::Any,
        store_type: "text",
    },
    Kind {
        declared: "ENUM",
        values: |c| ok(c.pick(&["'a'", "'b'", "7"])),
        rule: Rule::Any,
        store_type: "text",
    },
];

fn integers(c: &mut Rng) -> SqlValue {
    let usual = ok(c.int(i64::MIN, i64::MAX).to_string());
    let odd = bad(c.pick(&["'twelve'", "1.5", "x'00'", "''"]));
    mostly(c, usual, odd)
}

fn real(c: &mut Rng) -> String {
    let any = f64::from_bits(c.next());
    let any = if any.is_finite() { any } else { 0.1 };
    let any = format!("{any:e}");
    c.pick(&[
        "0.1",
        "-0.0",
        "9e999",
        "-9e999",
        "1.7976931348623157e308",
        "5e-324",
        "46.620000000000005",
        any.as_str(),
        any.as_str(),
    ])
    .to_owned()
}

fn reals(c: &mut Rng) -> SqlValue {
    let usual = ok(if c.percent(20) {
        c.int(-(1 << 53), 1 << 53).to_string()
    } else {
        real(c)
    });
    let odd = bad(c.pick(&["'much'", "x'00'"]));
    let nan = ok("'NaN'");
    let odd = if c.percent(50) { nan } else { odd };
    mostly(c, usual, odd)
}

fn texts(c: &mut Rng) -> SqlValue {
    let usual = ok(quoted(&c.text(40)));
    let odd = match c.below(3) {
        0 => bad(raw(&[b'a', 0xff])),
        1 => bad("x'6162'"),
        _ => not_in_postgres(raw(b"a\0b")),
    };
    mostly(c, usual, odd)
}

fn blobs(c: &mut Rng) -> SqlValue {
    let usual = ok(format!("x'{}'", hex(&c.bytes(60))));
    let odd = match c.below(3) {
        0 => ok(quoted("text \\x among bytes")),
        1 => ok(raw(b"a\0b")),
        _ => bad("5"),
    };
    mostly(c, usual, odd)
}

fn decimals(c: &mut Rng) -> SqlValue {
    let money = format!("{}.{:02}", c.below(1_000_000), c.below(100));
    let int = c.int(i64::MIN, i64::MAX).to_string();
    let real = real(c);
    let usual = ok(c.pick(&[
        money.as_str(),
        money.as_str(),
        "46.620000000000005",
        "0",
        int.as_str(),
        real.as_str(),
    ]));
    let odd = bad(c.pick(&["'n/a'", "x'00'", "''"]));
    mostly(c, usual, odd)
}

fn anything(c: &mut Rng) -> SqlValue {
    match c.below(5) {
        0 => ok(c.int(i64::MIN, i64::MAX).to_string()),
        1 => ok(real(c)),
        2 => ok(format!("x'{}'", hex(&c.bytes(30)))),
        _ => {
            let usual = ok(quoted(&c.text(20)));
            let odd = if c.percent(50) {
                bad(raw(&[0xc3]))
            } else {
                not_in_postgres(raw(b"\0"))
            };
            mostly(c, usual, odd)
        }
    }
}
