//! Every column type of a PostgreSQL core, with difficult values.

mod values;

use self::values::{array, clock, date, instant, interval, json, numeric, zone};
use super::rng::{RandomValues as _, hex};
use harness::rng::Rng;

pub(super) struct Kind {
    pub(super) declared: &'static str,
    pub(super) values: Values,
    /// The type of the column at the store's PostgreSQL.
    pub(super) store_type: &'static str,
    pub(super) rule: Rule,
}

pub(super) enum Values {
    Of(&'static [&'static str]),
    By(fn(&mut Rng) -> String),
}

/// The expected value at the store, independent of the product's code.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// The text that PostgreSQL prints.
    Text,
    Bool,
    Int,
    Float,
    Bytes,
    /// The text that PostgreSQL prints of it as this type.
    As(&'static str),
}

impl Kind {
    /// Returns a value as text, as PostgreSQL reads it; `None` is NULL.
    pub(super) fn value(&self, rng: &mut Rng) -> Option<String> {
        if rng.percent(12) {
            return None;
        }
        Some(match &self.values {
            Values::Of(texts) => rng.pick(texts).to_owned(),
            Values::By(make) => make(rng),
        })
    }
}

/// The types that the columns below need at the source.
pub(crate) const CORE_SETUP: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very ''happy''', '漢');
    CREATE TYPE \"Odd Mood\" AS ENUM ('a', 'b c');
    CREATE DOMAIN positive AS numeric(12,4) CHECK (VALUE > 0);
    CREATE DOMAIN code AS varchar(8);
    CREATE TYPE address AS (street text, number int, since date);
    CREATE TYPE floatrange AS RANGE (subtype = float8);";

/// Those of them that the store has too; `address` is a table's row type there.
pub(crate) const STORE_SETUP: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very ''happy''', '漢');
    CREATE TABLE address (id int);";

macro_rules! kind {
    ($declared:literal, $store_type:literal, $rule:expr, [$($text:literal),* $(,)?]) => {
        Kind { declared: $declared, store_type: $store_type, rule: $rule, values: Values::Of(&[$($text),*]) }
    };
    ($declared:literal, $store_type:literal, $rule:expr, $by:expr) => {
        Kind { declared: $declared, store_type: $store_type, rule: $rule, values: Values::By($by) }
    };
}

const TZ: &str = "timestamp with time zone";

// One type per line where it fits.
#[rustfmt::skip]
pub(super) const KINDS: &[Kind] = &[
    kind!("boolean", "boolean", Rule::Bool, ["t", "f"]),
    kind!("smallint", "smallint", Rule::Int, |c| c
        .int(-32_768, 32_767)
        .to_string()),
    kind!("integer", "integer", Rule::Int, |c| c
        .int(-2_147_483_648, 2_147_483_647)
        .to_string()),
    kind!("bigint", "bigint", Rule::Int, |c| c
        .int(i64::MIN, i64::MAX)
        .to_string()),
    kind!("real", "real", Rule::Float, |c| {
        let any = f32::from_bits(u32::try_from(c.next() >> 32).unwrap());
        let any = if any.is_nan() { 0.1 } else { any };
        let odd = c.pick(&[
            "NaN",
            "infinity",
            "-infinity",
            "-0",
            "0.1",
            "3.4028235e38",
            "1.4e-45",
            "16777217",
        ]);
        if c.percent(50) {
            any.to_string()
        } else {
            odd.to_owned()
        }
    }),
    kind!("double precision", "double precision", Rule::Float, |c| {
        let any = f64::from_bits(c.next());
        let any = if any.is_nan() { 0.1 } else { any };
        let odd = c.pick(&[
            "NaN",
            "infinity",
            "-infinity",
            "-0",
            "0.1",
            "1.7976931348623157e308",
            "5e-324",
            "9007199254740993",
        ]);
        if c.percent(50) {
            any.to_string()
        } else {
            odd.to_owned()
        }
    }),
    kind!("numeric", "numeric", Rule::Text, numeric),
    kind!("numeric(16,2)", "numeric", Rule::Text, |c| format!(
        "{}{}.{}",
        c.pick(&["", "-"]),
        c.digits(14),
        c.digits(2)
    )),
    kind!("numeric(5,-2)", "numeric", Rule::Text, ["0", "-1200", "9999900", "NaN"]),
    kind!("numeric(3,5)", "numeric", Rule::Text, ["0.00999", "0", "-0.00001"]),
    kind!("money", "numeric", Rule::As("numeric"), ["0", "-0.01", "1234567.89", "92233720368547758.07", "-92233720368547758.08"]),
    kind!("text", "text", Rule::Text, |c| c.text(40)),
    kind!("character varying(20)", "text", Rule::Text, |c| c.text(20)),
    kind!("character(7)", "text", Rule::Text, |c| c.text(7)),
    kind!("\"char\"", "\"char\"", Rule::Text, ["a", "", "\\", "'"]),
    kind!("name", "text", Rule::Text, ["", "pg_class", "漢\"'"]),
    kind!("bytea", "bytea", Rule::Bytes, |c| format!(
        "\\x{}",
        hex(&c.bytes(60))
    )),
    kind!("date", "date", Rule::Text, date),
    kind!("time", "time without time zone", Rule::Text, clock),
    kind!("time(2)", "time without time zone", Rule::Text, clock),
    kind!("timetz", "time with time zone", Rule::Text, |c| format!(
        "{}{}",
        clock(c),
        zone(c)
    )),
    kind!("timestamp", "timestamp without time zone", Rule::Text, |c| {
        instant(c, "")
    }),
    kind!("timestamp(0)", "timestamp without time zone", Rule::Text, |c| {
        instant(c, "")
    }),
    Kind {
        declared: "timestamptz",
        store_type: TZ,
        rule: Rule::Text,
        values: Values::By(|c| {
            let zone = if c.percent(20) {
                " Asia/Kathmandu".to_owned()
            } else {
                zone(c)
            };
            instant(c, &zone)
        }),
    },
    kind!("timestamptz(3)", "timestamp with time zone", Rule::Text, |c| {
        let zone = zone(c);
        instant(c, &zone)
    }),
    kind!("interval", "interval", Rule::Text, interval),
    kind!("interval year to month", "interval", Rule::Text, ["1 year 2 mons", "-3 mons", "0"]),
    kind!("uuid", "uuid", Rule::Text, |c| {
        let text = format!("{:016x}{:016x}", c.next(), c.next());
        c.pick(&[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            text.as_str(),
            text.as_str(),
        ])
        .to_owned()
    }),
    kind!("json", "json", Rule::Text, json),
    kind!("jsonb", "jsonb", Rule::Text, json),
    kind!("xml", "xml", Rule::Text, ["<a/>", "", "text &amp; <b x=\"1\">é漢</b>", "<?xml version=\"1.0\"?><a>1</a>", "<!-- c -->"]),
    kind!("inet", "inet", Rule::Text, ["192.168.0.1", "10.1.2.3/8", "::1", "2001:db8::/32", "::ffff:1.2.3.4/128", "0.0.0.0/0"]),
    kind!("cidr", "cidr", Rule::Text, ["192.168.0.0/16", "10.0.0.1/32", "2001:db8::/32", "::1/128"]),
    kind!("macaddr", "macaddr", Rule::Text, ["08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"]),
    kind!("macaddr8", "macaddr8", Rule::Text, ["08:00:2b:01:02:03:04:05"]),
    kind!("bit(5)", "bit varying", Rule::Text, ["00000", "10101"]),
    kind!("bit", "bit varying", Rule::Text, ["0", "1"]),
    kind!("bit varying(9)", "bit varying", Rule::Text, ["", "1", "101010101"]),
    kind!("bit varying", "bit varying", Rule::Text, ["", "000011110000111100001111000011110000111100001111000011110000111100001"]),
    kind!("int4range", "int4range", Rule::Text, ["empty", "[1,5)", "(,)", "[-2147483648,)", "(,7]"]),
    kind!("int8range", "int8range", Rule::Text, ["[9223372036854775806,)", "empty"]),
    kind!("numrange", "numrange", Rule::Text, ["[1.50,2.00]", "(-Infinity,NaN)", "empty"]),
    kind!("daterange", "daterange", Rule::Text, ["[2026-01-01,infinity)", "[0044-03-15 BC,2026-01-01)", "(,)"]),
    kind!("tsrange", "tsrange", Rule::Text, ["[2026-01-01 10:00,2026-01-01 10:00:00.000001)", "[-infinity,infinity]"]),
    kind!("tstzrange", "tstzrange", Rule::Text, ["[\"2026-01-01 10:00+05:45\",)", "empty"]),
    kind!("int4multirange", "int4multirange", Rule::Text, ["{}", "{[1,2),[5,9)}"]),
    kind!("tstzmultirange", "tstzmultirange", Rule::Text, ["{[\"2026-01-01 10:00+05:45\",\"2026-01-02 00:00+00\")}"]),
    kind!("floatrange", "text", Rule::Text, ["[0.1,0.2)", "[-infinity,1e300]"]),
    kind!("oid", "oid", Rule::Text, ["0", "4294967295"]),
    kind!("xid", "xid", Rule::Text, ["0", "4294967295"]),
    kind!("tid", "tid", Rule::Text, ["(0,1)", "(4294967295,65535)"]),
    kind!("pg_lsn", "pg_lsn", Rule::Text, ["0/0", "FFFFFFFF/FFFFFFFF"]),
    kind!("regclass", "text", Rule::Text, ["pg_class", "pg_catalog.pg_type"]),
    kind!("regtype", "text", Rule::Text, ["integer", "mood", "text[]"]),
    kind!("aclitem", "text", Rule::Text, ["=r/postgres", "postgres=arwdDxt/postgres"]),
    kind!("int2vector", "int2vector", Rule::Text, ["", "1 2 -3"]),
    kind!("oidvector", "oidvector", Rule::Text, ["", "1 4294967295"]),
    kind!("point", "point", Rule::Text, ["(0.1,-0)", "(NaN,Infinity)", "(1e300,5e-324)"]),
    kind!("line", "line", Rule::Text, ["{1,-1,0.1}"]),
    kind!("lseg", "lseg", Rule::Text, ["[(0,0),(0.1,1)]"]),
    kind!("box", "box", Rule::Text, ["(1,1),(0.1,0)"]),
    kind!("path", "path", Rule::Text, ["((0,0),(1,1),(2,0))", "[(0,0),(0.1,1)]"]),
    kind!("polygon", "polygon", Rule::Text, ["((0,0),(1,1),(2,0))"]),
    kind!("circle", "circle", Rule::Text, ["<(0,0.1),3>"]),
    kind!("tsvector", "tsvector", Rule::Text, ["", "'cat''s':1A 'fat':2,3 '漢':9"]),
    kind!("tsquery", "tsquery", Rule::Text, ["", "'fat' & ( 'cat''s' | !'dog') <-> 'x':*A"]),
    kind!("jsonpath", "jsonpath", Rule::Text, ["$.\"a b\"[*] ? (@.\"x\" > 0.1)"]),
    kind!("txid_snapshot", "txid_snapshot", Rule::Text, ["10:20:10,14"]),
    kind!("mood", "mood", Rule::Text, ["sad", "ok", "very 'happy'", "漢"]),
    kind!("\"Odd Mood\"", "text", Rule::Text, ["a", "b c"]),
    kind!("positive", "numeric", Rule::Text, ["0.0001", "99999999.9999"]),
    kind!("code", "text", Rule::Text, |c| c.text(8)),
    kind!("address", "text", Rule::Text, ["(,,)", "(\"a \"\"b\"\" \\\\c\",-1,2026-01-31)", "(\"\",7,\"0044-03-15 BC\")"]),
    kind!("integer[]", "integer[]", Rule::Text, ["{}", "{1,NULL,-2147483648}", "{{1,2},{3,NULL}}", "[0:1]={1,2}", "[-1:0][2:3]={{1,2},{3,4}}"]),
    kind!("text[]", "text[]", Rule::Text, |c| array(c, |c| c.text(9))),
    kind!("text[][]", "text[]", Rule::Text, ["{{a,NULL},{\"\",\"NULL\"}}", "{{{\"\\\\\"}},{{\"\\\"\"}}}"]),
    kind!("numeric(9,3)[]", "numeric[]", Rule::Text, ["{1.500,NULL,NaN}", "{}"]),
    kind!("double precision[]", "double precision[]", Rule::Text, ["{0.1,NaN,-Infinity,-0,5e-324}"]),
    kind!("boolean[]", "boolean[]", Rule::Text, ["{t,f,NULL}"]),
    kind!("date[]", "date[]", Rule::Text, ["{2026-01-31,infinity,\"0044-03-15 BC\"}"]),
    kind!("timestamptz[]", "timestamp with time zone[]", Rule::Text, ["{\"2026-01-31 10:00:00.1+05:45\",-infinity}"]),
    kind!("time[]", "time without time zone[]", Rule::Text, ["{24:00:00,00:00:00.000001}"]),
    kind!("interval[]", "interval[]", Rule::Text, ["{\"1 year -2 days 03:04:05.6\",0}"]),
    kind!("uuid[]", "uuid[]", Rule::Text, ["{00000000-0000-0000-0000-0000000000ff,NULL}"]),
    kind!("jsonb[]", "jsonb[]", Rule::Text, ["{\"{\\\"a\\\": [1, \\\"x\\\\\\\\y\\\"]}\",null}"]),
    kind!("bytea[]", "bytea[]", Rule::Text, ["{\"\\\\x00ff\",\"\\\\x\"}"]),
    kind!("character varying(5)[]", "character varying[]", Rule::Text, ["{abcde,\"\"}"]),
    kind!("character(5)[]", "bpchar[]", Rule::Text, ["{ab,abcde}"]),
    kind!("bit(3)[]", "bit varying[]", Rule::Text, ["{101,000}"]),
    kind!("inet[]", "inet[]", Rule::Text, ["{10.0.0.1,::1/128}"]),
    kind!("money[]", "numeric[]", Rule::As("numeric[]"), ["{1.50,-0.01,NULL}"]),
    kind!("mood[]", "mood[]", Rule::Text, ["{sad,\"very 'happy'\",NULL}"]),
    kind!("positive[]", "text", Rule::Text, ["{0.0001,1.0000}"]),
    kind!("address[]", "text", Rule::Text, ["{\"(a,1,)\",NULL}"]),
    kind!("int4range[]", "int4range[]", Rule::Text, ["{\"[1,5)\",empty}"]),
];
