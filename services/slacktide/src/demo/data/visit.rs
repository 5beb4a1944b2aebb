//! PURE: one visit to a medical institution, with its diagnoses.

use rusqlite::types::Value;

use super::codes::{DEPARTMENTS, DIAGNOSES, DOCTORS};
use super::person::Person;
use super::rng::Rng;

/// What the settlement repeats of a visit.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// Its number.
    pub(crate) mdtrt_id: String,
    /// `11` outpatient, `14` chronic, `21` inpatient.
    pub(crate) med_type: &'static str,
    /// The day it ended, `yyyy-MM-dd`.
    pub(crate) day: String,
    /// Department.
    pub(crate) department: &'static (&'static str, &'static str),
    /// Doctor.
    pub(crate) doctor: &'static (&'static str, &'static str),
    diagnoses: Vec<&'static (&'static str, &'static str)>,
    hour: i64,
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

impl Visit {
    /// The visit with this number.
    pub(crate) fn new(number: u64, rng: &mut Rng) -> Self {
        let med_type = if rng.percent(8) {
            "21"
        } else if rng.percent(20) {
            "14"
        } else {
            "11"
        };
        let first = usize::try_from(rng.next() % DIAGNOSES.len() as u64).unwrap_or(0);
        let count = usize::try_from(rng.between(1, 3)).unwrap_or(1);
        Self {
            mdtrt_id: format!("M{number:012}"),
            med_type,
            day: format!("2024-{:02}-{:02}", rng.between(1, 2), rng.between(1, 28)),
            department: rng.pick(&DEPARTMENTS),
            doctor: rng.pick(&DOCTORS),
            diagnoses: (0..count)
                .map(|at| &DIAGNOSES[(first + at) % DIAGNOSES.len()])
                .collect(),
            hour: rng.between(8, 16),
        }
    }

    /// Returns a time of the visit, in minutes after its start.
    pub(crate) fn time(&self, minutes: i64) -> String {
        format!("{} {:02}:{:02}:00", self.day, self.hour, minutes % 60)
    }

    /// The row of `mdtrt`.
    pub(crate) fn row(&self, person: &Person) -> Vec<Value> {
        let (code, name) = self.diagnoses.first().map_or(("", ""), |one| **one);
        vec![
            text(&self.mdtrt_id),
            text(&person.psn_no),
            text(&person.certno),
            text(&person.name),
            text(person.gend),
            text(person.insutype),
            text(person.psn_type),
            text(person.area),
            text(self.time(0)),
            text(self.time(40)),
            text("01"),
            text(self.med_type),
            text(format!("OP{}", &self.mdtrt_id[1..])),
            text(self.doctor.0),
            text(self.doctor.1),
            text(self.department.0),
            text(self.department.1),
            text(code),
            text(name),
            if self.med_type == "21" {
                Value::Integer(1)
            } else {
                Value::Null
            },
        ]
    }

    /// The rows of `diag`.
    pub(crate) fn diagnoses(&self, person: &Person) -> Vec<Vec<Value>> {
        let row = |at: usize, (code, name): &(&str, &str)| {
            vec![
                text(format!("{}-{}", self.mdtrt_id, at + 1)),
                text(&self.mdtrt_id),
                text(&person.psn_no),
                text(if self.med_type == "21" { "2" } else { "1" }),
                text("1"),
                text(if at == 0 { "1" } else { "0" }),
                Value::Integer(i64::try_from(at + 1).unwrap_or(1)),
                text(*code),
                text(*name),
                text(self.department.1),
                text(self.doctor.0),
                text(self.doctor.1),
                text(self.time(5)),
            ]
        };
        self.diagnoses
            .iter()
            .enumerate()
            .map(|(at, one)| row(at, one))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnosis_codes_look_like_icd_10() {
        for (code, _) in DIAGNOSES {
            let bytes = code.as_bytes();
            let shaped = bytes.len() == 7
                && bytes[0].is_ascii_uppercase()
                && bytes[1..3].iter().all(u8::is_ascii_digit);
            assert!(shaped && bytes[3] == b'.', "{code}");
        }
    }
}
