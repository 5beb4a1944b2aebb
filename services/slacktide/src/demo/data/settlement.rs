//! PURE: one settlement: its fee lines, the covered part, and the payers.
//!
//! All amounts are cents. They are computed from the lines upwards, so that the identities used for reconciliation hold
//! by construction; the tests prove it.

use rusqlite::types::Value;

use super::codes::{INSTITUTIONS, ITEMS, Item};
use super::money::{cents, product, scaled, share};
use super::person::Person;
use super::rng::Rng;
use super::visit::Visit;

/// One line of the bill.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    item: &'static Item,
    /// In ten-thousandths.
    pub(crate) count: i64,
    /// `round(count * price, 2)`.
    pub(crate) total: i64,
    /// Not covered.
    pub(crate) own: i64,
    /// Above the price limit.
    pub(crate) over: i64,
    /// Paid by the insured first.
    pub(crate) first: i64,
    /// Covered.
    pub(crate) covered: i64,
}

impl Line {
    fn new(item: &'static Item, count: i64) -> Self {
        let total = product(count, item.price);
        if item.level == "03" {
            return Self {
                item,
                count,
                total,
                own: total,
                over: 0,
                first: 0,
                covered: 0,
            };
        }
        let over = total - product(count, item.price.min(item.limit));
        let first = share(total - over, item.first_share);
        Self {
            item,
            count,
            total,
            own: 0,
            over,
            first,
            covered: total - over - first,
        }
    }

    /// In millionths.
    #[cfg(test)]
    pub(crate) fn price(&self) -> i64 {
        self.item.price
    }
}

/// A settlement.
#[derive(Debug, Clone)]
pub(crate) struct Settlement {
    setl_id: String,
    institution: &'static (&'static str, &'static str, &'static str),
    /// The bill.
    pub(crate) lines: Vec<Line>,
    /// The total.
    pub(crate) total: i64,
    /// Sums over the lines: not covered, over the limit, paid first, covered.
    pub(crate) parts: [i64; 4],
    deductible: i64,
    ratio: i64,
    /// Payments by fund type.
    pub(crate) funds: Vec<(&'static str, &'static str, i64)>,
    /// Paid by the person.
    pub(crate) person_part: i64,
    /// The part of it from the personal account.
    pub(crate) account: i64,
}

impl Settlement {
    /// Creates the settlement with this number.
    pub(crate) fn new(number: u64, person: &Person, visit: &Visit, rng: &mut Rng) -> Self {
        let count = if visit.med_type == "21" {
            rng.between(30, 50)
        } else {
            rng.between(4, 18)
        };
        let lines: Vec<Line> = (0..count)
            .map(|_| {
                let item = rng.pick(&ITEMS);
                let pieces = rng.between(1, item.max_pieces.max(1));
                Line::new(item, pieces * 10_000)
            })
            .collect();
        let sum = |part: fn(&Line) -> i64| lines.iter().map(part).sum::<i64>();
        let parts = [
            sum(|l| l.own),
            sum(|l| l.over),
            sum(|l| l.first),
            sum(|l| l.covered),
        ];
        let total = sum(|line| line.total);
        let covered = parts[3];
        let deductible = covered.min(if visit.med_type == "21" { 60_000 } else { 5_000 });
        let ratio = if person.insutype == "310" { 8_500 } else { 7_000 };
        let payable = share(covered - deductible, ratio);
        // Above a limit the second fund pays: large amounts for employees, serious illness for residents.
        let (basic, second) = (payable.min(80_000), (payable - 80_000).max(0));
        let names = if person.insutype == "310" {
            [
                ("310100", "职工基本医疗保险统筹基金"),
                ("330100", "职工大额医疗费用补助"),
            ]
        } else {
            [
                ("390100", "城乡居民基本医疗保险基金"),
                ("390200", "城乡居民大病保险资金"),
            ]
        };
        let mut funds = vec![(names[0].0, names[0].1, basic)];
        if second > 0 {
            funds.push((names[1].0, names[1].1, second));
        }
        let person_part = total - basic - second;
        Self {
            setl_id: format!("S{number:012}"),
            institution: rng.pick(&INSTITUTIONS),
            lines,
            total,
            parts,
            deductible,
            ratio,
            funds,
            person_part,
            account: person_part.min(person.balance),
        }
    }

    fn paid_by(&self, types: &[&str]) -> i64 {
        self.funds
            .iter()
            .filter(|(kind, ..)| types.contains(kind))
            .map(|(.., amount)| amount)
            .sum()
    }

    /// Returns the row of `setl`.
    pub(crate) fn row(&self, person: &Person, visit: &Visit) -> Vec<Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        let money = |amount: i64| Value::Text(cents(amount));
        let [own, over, first, covered] = self.parts;
        let mut row = vec![
            text(&self.setl_id),
            text(&visit.mdtrt_id),
            text(&person.psn_no),
            text(&person.certno),
            text(&person.name),
            text(person.gend),
            text(person.insutype),
            text(person.psn_type),
            text("0"),
            text(person.area),
            text("2"),
            text(self.institution.0),
            text(self.institution.1),
            text(self.institution.2),
            text(&visit.day),
            text(&visit.day),
            Value::Text(visit.time(50)),
            text(visit.med_type),
            text(if visit.med_type == "21" { "21" } else { "11" }),
        ];
        row.extend([self.total, own, over, first, covered, self.deductible].map(money));
        row.push(money(self.paid_by(&["310100", "390100"])));
        row.push(Value::Text(scaled(10_000 - self.ratio, 4)));
        row.extend([0, 0].map(money));
        row.push(money(self.paid_by(&["390200"])));
        row.push(money(self.paid_by(&["330100"])));
        row.extend([0, 0].map(money));
        let cash = self.person_part - self.account;
        let fund = self.total - self.person_part;
        row.extend(
            [
                fund,
                self.person_part,
                self.account,
                cash,
                0,
                person.balance - self.account,
            ]
            .map(money),
        );
        row.extend([
            Value::Text(format!("H{}", &self.setl_id[1..])),
            text("0"),
            text("2024"),
            text("SYS001"),
            Value::Text(visit.time(50)),
        ]);
        row
    }

    /// Returns the rows of `setl_fund`.
    pub(crate) fn fund_rows(&self) -> Vec<Vec<Value>> {
        let row = |(kind, name, amount): &(&str, &str, i64)| {
            vec![
                Value::Text(self.setl_id.clone()),
                Value::Text((*kind).to_owned()),
                Value::Text(cents(self.parts[3])),
                Value::Text(cents(20_000_000)),
                Value::Text(cents(*amount)),
                Value::Text((*name).to_owned()),
            ]
        };
        self.funds.iter().map(row).collect()
    }

    /// Returns the rows of `fee`.
    pub(crate) fn fee_rows(&self, visit: &Visit) -> Vec<Vec<Value>> {
        let text = |text: &str| Value::Text(text.to_owned());
        let money = |amount: i64| Value::Text(cents(amount));
        let row = |(at, line): (usize, &Line)| {
            let item = line.item;
            vec![
                text(&visit.mdtrt_id),
                text(&self.setl_id),
                Value::Text(format!("{}{:04}", &self.setl_id[1..], at + 1)),
                Value::Text(format!("R{}", &self.setl_id[1..])),
                text(visit.med_type),
                Value::Text(visit.time(10 + i64::try_from(at).unwrap_or(0) / 3)),
                Value::Text(scaled(line.count, 4)),
                Value::Text(scaled(item.price, 6)),
                money(line.total),
                Value::Text(scaled(item.limit, 6)),
                Value::Text(scaled(item.first_share, 4)),
                money(line.own),
                money(line.over),
                money(line.first),
                money(line.covered),
                text(item.level),
                text(item.code),
                text(item.name),
                text(if item.kind == "09" || item.kind == "11" {
                    "101"
                } else {
                    "201"
                }),
                text(item.kind),
                text(item.spec),
                text(visit.department.0),
                text(visit.doctor.1),
                text("1"),
            ]
        };
        self.lines.iter().enumerate().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::TABLES;
    use super::*;

    #[test]
    fn settlement_amounts_satisfy_the_identities() {
        let mut rng = Rng::new(7);
        for number in 0..2_000 {
            let person = Person::new(number, &mut rng);
            let visit = Visit::new(number, &mut rng);
            let setl = Settlement::new(number, &person, &visit, &mut rng);
            let [own, over, first, covered] = setl.parts;
            let fund: i64 = setl.funds.iter().map(|(.., amount)| amount).sum();
            assert_eq!(setl.total, setl.lines.iter().map(|line| line.total).sum::<i64>());
            assert_eq!(setl.total, own + over + first + covered);
            assert_eq!(setl.total, fund + setl.person_part);
            assert!(
                setl.account <= setl.person_part && setl.account >= 0 && fund >= 0 && setl.person_part >= 0
            );
            for line in &setl.lines {
                assert_eq!(line.total, product(line.count, line.price()));
                assert_eq!(line.total, line.own + line.over + line.first + line.covered);
                assert!(line.over >= 0 && line.covered >= 0);
            }
        }
    }

    #[test]
    fn settlement_rows_match_the_columns_of_their_tables() {
        let mut rng = Rng::new(7);
        let person = Person::new(1, &mut rng);
        let visit = Visit::new(1, &mut rng);
        let setl = Settlement::new(1, &person, &visit, &mut rng);
        let widths = [
            person.row().len(),
            visit.row(&person).len(),
            visit.diagnoses(&person)[0].len(),
            setl.row(&person, &visit).len(),
            setl.fund_rows()[0].len(),
            setl.fee_rows(&visit)[0].len(),
        ];
        assert_eq!(widths, TABLES.map(|table| table.columns.len()));
    }
}
