//! Random values: seed, row and column decide each value, so a table with fewer columns or rows is a part of the larger one.

use harness::rng::Rng;

/// Creates the generator of the value at a row and column.
pub(super) fn rng_at(seed: u64, row: usize, column: usize) -> Rng {
    let mut row = Rng::from_state(seed ^ (row as u64).wrapping_mul(0xA24B_AED4_963E_E407));
    let mut place = Rng::from_state(row.next() ^ (column as u64).wrapping_mul(0x9FB2_1C65_1E98_DF25));
    place.next();
    place
}

/// Random values of columns.
pub(super) trait RandomValues {
    /// Returns an integer; extremes are as frequent as the rest.
    fn int(&mut self, least: i64, most: i64) -> i64;
    /// Returns this many digits; the first is not zero.
    fn digits(&mut self, count: usize) -> String;
    /// Returns any text without the character NUL.
    fn text(&mut self, most: usize) -> String;
    /// Returns at most this many bytes.
    fn bytes(&mut self, most: usize) -> Vec<u8>;
}

impl RandomValues for Rng {
    fn int(&mut self, least: i64, most: i64) -> i64 {
        let any = i64::from_ne_bytes(self.next().to_ne_bytes());
        let inside = i128::from(least) + i128::from(any).rem_euclid(i128::from(most) - i128::from(least) + 1);
        let inside = i64::try_from(inside).unwrap();
        self.pick(&[least, most, 0, -1, 1, least + 1, inside, inside, inside])
    }

    fn digits(&mut self, count: usize) -> String {
        let digit = |rng: &mut Self, least: usize| {
            char::from(b'0' + u8::try_from(least + rng.below(10 - least)).unwrap())
        };
        (0..count).map(|at| digit(self, usize::from(at == 0))).collect()
    }

    fn text(&mut self, most: usize) -> String {
        const PARTS: &[&str] = &[
            "a",
            "Z",
            "7",
            " ",
            "  ",
            "'",
            "''",
            "\"",
            "\\",
            "\\N",
            "\\.",
            "\\x",
            "\n",
            "\r\n",
            "\t",
            ",",
            "{",
            "}",
            "NULL",
            "é",
            "e\u{301}",
            "漢",
            "张三",
            "ß",
            "İ",
            "\u{202e}שלום",
            "🜍",
            "👩‍👩‍👧",
            "\u{10ffff}",
            "\u{feff}",
            "\u{fffd}",
            "\u{1}",
            "\u{1f}",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "%s",
            "$1",
            "--",
            ";",
            "/*",
            "0",
            "1e5",
            "true",
            "null",
            "infinity",
        ];
        let count = self.below(most + 1);
        let mut text = String::new();
        for _ in 0..count {
            text.push_str(self.pick(PARTS));
        }
        text.chars().take(most).collect()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1))
            .map(|_| self.next().to_le_bytes()[0])
            .collect()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
