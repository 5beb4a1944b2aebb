//! A table from a seed: its columns, its key and its rows, for either kind of core.

use super::postgres;
use super::rng::{quoted, rng_at};
use super::sqlite::{self, Fate, SqlValue};

/// A table of a pair; everything else follows from these fields.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(super) from_postgres: bool,
    pub(super) to_postgres: bool,
    pub(super) seed: u64,
    /// Indexes of the columns in addition to `id` and key. Without some of them the table is smaller, with the same values.
    pub(super) columns: Vec<usize>,
    pub(super) rows: usize,
}

impl Case {
    /// Creates a table whose width and length the seed decides.
    pub(super) fn new(from_postgres: bool, to_postgres: bool, seed: u64) -> Self {
        let mut rng = rng_at(seed, 0, 0);
        let width = match rng.below(100) {
            // The width of real cores, in every pair.
            _ if seed == 3 => 85,
            _ if seed == 7 => 300,
            0..70 => rng.below(12) + 1,
            70..92 => rng.below(30) + 12,
            92..97 => 85,
            _ => 300,
        };
        let rows = if width > 80 { 4 } else { rng.below(40) + 1 };
        let columns = (0..width).collect();
        Self {
            from_postgres,
            to_postgres,
            seed,
            columns,
            rows,
        }
    }

    /// Returns its name, which is also the feed's.
    pub(crate) fn name(&self) -> String {
        let first = self.columns.first().copied().unwrap_or_default();
        format!("t{}_{first}_{}_{}", self.seed, self.columns.len(), self.rows)
    }

    pub(crate) fn of_every_type(from_postgres: bool, to_postgres: bool) -> Self {
        let kinds = if from_postgres {
            postgres::KINDS.len()
        } else {
            sqlite::KINDS.len()
        };
        let columns = (0..kinds).collect();
        let (seed, rows) = (20, 40);
        Self {
            from_postgres,
            to_postgres,
            seed,
            columns,
            rows,
        }
    }

    /// Returns how many rows arrive, are rejects, and are quarantined at the store.
    pub(crate) fn fates(&self) -> (usize, usize, usize) {
        (
            self.count_with(Fate::Carried),
            self.count_with(Fate::Rejected),
            self.count_with(Fate::NotAtPostgres),
        )
    }

    fn kind_of(&self, place: usize, kinds: usize) -> usize {
        // Each kind once before any twice, starting anywhere.
        let first = rng_at(self.seed, 1, 0).below(kinds);
        let step = [1, 7, 11, 13][rng_at(self.seed, 1, 1).below(4)];
        let step = if kinds.is_multiple_of(step) { 1 } else { step };
        (first + place * step) % kinds
    }

    pub(super) fn postgres_kind(&self, place: usize) -> &'static postgres::Kind {
        &postgres::KINDS[self.kind_of(place, postgres::KINDS.len())]
    }

    pub(super) fn sqlite_kind(&self, place: usize) -> &'static sqlite::Kind {
        &sqlite::KINDS[self.kind_of(place, sqlite::KINDS.len())]
    }

    fn postgres_value(&self, row: usize, place: usize) -> Option<String> {
        self.postgres_kind(place)
            .value(&mut rng_at(self.seed, row + 2, place))
    }

    pub(super) fn sqlite_value(&self, row: usize, place: usize) -> SqlValue {
        self.sqlite_kind(place)
            .value(&mut rng_at(self.seed, row + 2, place))
    }

    pub(super) fn fate(&self, row: usize) -> Fate {
        if self.from_postgres {
            return Fate::Carried;
        }
        let fates = self.columns.iter().map(|place| self.sqlite_value(row, *place).1);
        match fates.max().unwrap_or(Fate::Carried) {
            Fate::NotAtPostgres if !self.to_postgres => Fate::Carried,
            fate => fate,
        }
    }

    pub(super) fn count_with(&self, fate: Fate) -> usize {
        (0..self.rows).filter(|row| self.fate(*row) == fate).count()
    }

    /// Returns the columns whose values decide the result of a row.
    pub(super) fn faults(&self, row: usize) -> Vec<String> {
        let fate = self.fate(row);
        let at_fault = |place: &&usize| self.sqlite_value(row, **place).1 == fate;
        self.columns
            .iter()
            .filter(at_fault)
            .map(|place| column(*place))
            .collect()
    }

    pub(super) fn key(&self) -> Key {
        let keys = if self.from_postgres {
            POSTGRES_KEYS
        } else {
            SQLITE_KEYS
        };
        let key = rng_at(self.seed, 1, 2).below(keys.len());
        Key { kind: &keys[key] }
    }

    pub(crate) fn key_names(&self) -> Vec<String> {
        let count = if self.key().kind.second.is_some() { 2 } else { 1 };
        ["k", "k2"][..count].iter().map(ToString::to_string).collect()
    }

    pub(crate) fn cursor(&self) -> Vec<String> {
        if self.key().kind.is_cursor {
            self.key_names()
        } else {
            vec!["id".to_owned()]
        }
    }

    /// Returns the statements that create and fill it.
    pub(crate) fn sql(&self) -> String {
        let (name, key) = (self.name(), self.key());
        let mut declared = vec![
            "id bigint NOT NULL UNIQUE".to_owned(),
            format!("k {} NOT NULL", key.kind.declared),
        ];
        declared.extend(key.kind.second.map(|second| format!("k2 {second} NOT NULL")));
        for place in &self.columns {
            let kind = if self.from_postgres {
                self.postgres_kind(*place).declared
            } else {
                self.sqlite_kind(*place).declared
            };
            declared.push(format!("{} {kind}", column(*place)));
        }
        declared.push(format!("PRIMARY KEY ({})", self.key_names().join(", ")));
        let mut rows = Vec::new();
        for row in 0..self.rows {
            let mut values = vec![row.to_string(), (key.kind.value)(row)];
            if key.kind.second.is_some() {
                values.push((row % 7).to_string());
            }
            for place in &self.columns {
                values.push(if self.from_postgres {
                    self.postgres_value(row, *place)
                        .map_or("NULL".to_owned(), |text| quoted(&text))
                } else {
                    self.sqlite_value(row, *place).0
                });
            }
            rows.push(format!("({})", values.join(", ")));
        }
        format!(
            "CREATE TABLE {name} ({});\nINSERT INTO {name} VALUES {};",
            declared.join(", "),
            rows.join(",\n")
        )
    }
}

/// Returns the name of the column at an index.
pub(super) fn column(place: usize) -> String {
    // Some names have to be quoted.
    match place % 5 {
        3 => format!("\"Column \"\"{place}\"\"\""),
        4 => format!("\"漢{place}\""),
        _ => format!("c{place}"),
    }
}

/// Returns a name without its quotes.
pub(super) fn bare(name: &str) -> String {
    name.strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
        .map_or(name.to_owned(), |name| name.replace("\"\"", "\""))
}

pub(super) struct Key {
    pub(super) kind: &'static KeyKind,
}

pub(super) struct KeyKind {
    declared: &'static str,
    second: Option<&'static str>,
    /// Whether a feed can use it as its cursor; otherwise it uses `id`.
    is_cursor: bool,
    /// Returns a distinct value for each row, as SQL.
    value: fn(usize) -> String,
}

fn spread(row: usize) -> String {
    let step = i128::from(u64::MAX) / 41;
    (i128::from(i64::MIN) + step * i128::try_from(row % 41).unwrap()).to_string()
}

fn words(row: usize) -> String {
    let words = ["", "é漢", "a'b\"", "\\", " ", "a\nb", "Z", "🜍"];
    quoted(&format!("{}{}", words[row % 8], row / 8))
}

fn days(row: usize) -> String {
    quoted(&format!("20{:02}-0{}-{:02}", row % 90, row % 9 + 1, row % 28 + 1))
}

macro_rules! key {
    ($declared:literal, $second:expr, $cursor:literal, $value:expr) => {
        KeyKind {
            declared: $declared,
            second: $second,
            is_cursor: $cursor,
            value: $value,
        }
    };
}

const POSTGRES_KEYS: &[KeyKind] = &[
    key!("bigint", None, true, spread),
    key!("text", None, true, words),
    key!("character(12)", Some("smallint"), true, words),
    key!("uuid", None, true, |row| format!(
        "'{row:08x}-0000-0000-ffff-00000000000f'"
    )),
    key!("numeric", None, true, |row| format!("'{row}{row}.{row}0'")),
    key!("date", None, true, |row| if row == 0 {
        "'infinity'".to_owned()
    } else {
        format!("'{row:04}-02-28{}'", if row % 2 == 0 { " BC" } else { "" })
    }),
    key!("timestamptz", Some("integer"), true, |row| format!(
        "'2026-01-31 10:00:00.00000{}+05:45'",
        row % 10
    )
    .replace("10:", &format!("{:02}:", row / 10))),
    key!("timestamp", None, true, |row| format!(
        "'{:04}-12-31 23:59:59.99999{}'",
        row / 10 + 1,
        row % 10
    )),
    key!("timetz", None, true, |row| format!(
        "'10:{:02}:00{}'",
        row % 60,
        if row % 2 == 0 { "+05:45" } else { "-08" }
    )),
    key!("interval", None, true, |row| format!(
        "'{row} days -00:00:00.000001'"
    )),
    key!("inet", None, true, |row| format!(
        "'10.0.0.{row}{}'",
        if row % 2 == 0 { "/8" } else { "" }
    )),
    key!("bit varying", None, true, |row| format!("'{row:b}'")),
    key!("integer[]", None, true, |row| format!("'{{{row},NULL}}'")),
    key!("bytea", None, false, |row| format!("'\\x{row:04x}'")),
    key!("double precision", None, false, |row| if row == 0 {
        "'NaN'".to_owned()
    } else {
        format!("'{row}.1e-{row}'")
    }),
    key!("positive", None, true, |row| format!("'{}'", row + 1)),
    key!("oid", None, true, |row| (4_294_967_295 - row).to_string()),
];

const SQLITE_KEYS: &[KeyKind] = &[
    key!("INTEGER", None, true, spread),
    key!("TEXT", None, true, words),
    key!("VARCHAR(9)", Some("INT"), true, words),
    key!("DATE", None, true, days),
    // Integers and texts have no common order.
    key!("", None, false, |row| if row % 2 == 0 {
        row.to_string()
    } else {
        format!("'{row}'")
    }),
    key!("BLOB", None, false, |row| format!("x'{row:04x}'")),
    key!("REAL", None, false, |row| format!("{row}.125")),
    key!("DECIMAL(9,2)", None, false, |row| format!("{row}.25")),
];
