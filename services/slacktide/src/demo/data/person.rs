//! PURE: one insured person.

use rusqlite::types::Value;

use super::certno::certno;
use super::codes::{AREAS, FAMILY_NAMES, GIVEN_NAMES};
use super::money::{cents, scaled};
use super::rng::Rng;

/// The fields of a person that other tables repeat.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The person's number.
    pub(crate) psn_no: String,
    /// Identity number.
    pub(crate) certno: String,
    /// Name.
    pub(crate) name: String,
    /// `1` man, `2` woman.
    pub(crate) gend: &'static str,
    /// `310` employee, `390` resident.
    pub(crate) insutype: &'static str,
    /// Kind of person.
    pub(crate) psn_type: &'static str,
    /// Area of insurance.
    pub(crate) area: &'static str,
    /// Balance of the personal account, in cents; residents have none.
    pub(crate) balance: i64,
    born: (i64, i64, i64),
}

impl Person {
    /// Creates the person with this number.
    pub(crate) fn new(number: u64, rng: &mut Rng) -> Self {
        let born = (rng.between(1938, 2019), rng.between(1, 12), rng.between(1, 28));
        let area = *rng.pick(&AREAS);
        let serial = u32::try_from(rng.between(1, 998)).unwrap_or(1);
        let employee = born.0 < 2004 && rng.percent(60);
        let psn_type = match (employee, born.0) {
            (true, ..=1964) => "1201",
            (true, _) => "1101",
            (false, 2006..) => "1403",
            (false, _) => "1501",
        };
        let (family, given) = (*rng.pick(&FAMILY_NAMES), *rng.pick(&GIVEN_NAMES));
        Self {
            psn_no: format!("3205{number:011}"),
            certno: certno(area, &format!("{:04}{:02}{:02}", born.0, born.1, born.2), serial),
            name: format!("{family}{given}"),
            gend: if serial % 2 == 1 { "1" } else { "2" },
            insutype: if employee { "310" } else { "390" },
            psn_type,
            area,
            balance: if employee { rng.between(0, 800_000) } else { 0 },
            born,
        }
    }

    /// Returns the row of `psn_insu`.
    pub(crate) fn row(&self) -> Vec<Value> {
        let (year, month, day) = self.born;
        let text = |text: &str| Value::Text(text.to_owned());
        vec![
            text(&self.psn_no),
            text("01"),
            text(&self.certno),
            text(&self.name),
            text(self.gend),
            text("01"),
            Value::Text(format!("{year:04}-{month:02}-{day:02}")),
            Value::Text(scaled((2024 - year) * 10, 1)),
            text(self.insutype),
            text(self.psn_type),
            text("1"),
            text("2019-01-01"),
            Value::Text(cents(self.balance)),
            text("0"),
            text(self.area),
            if self.insutype == "310" {
                text("江南机械制造有限公司")
            } else {
                Value::Null
            },
        ]
    }
}
