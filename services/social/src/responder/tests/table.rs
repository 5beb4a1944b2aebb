//! A source that is a list of rows: it answers every question with those of the person that is asked for, or all.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use gate::Permit;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::value::Value;
use source::port::DriverCount;
use source::{
    End, ErrorKind, FeedDefinition, FeedReader, Quantum, Question, QuestionReader, RowSink, Source,
};

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) person: String,
    pub(super) name: String,
    pub(super) amount: String,
}

/// The rows, and what was asked of them.
#[derive(Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    asked: std::sync::Arc<Asked>,
}

type Then = Box<dyn FnMut(u64) + Send>;

#[derive(Default)]
struct Asked {
    reads: Mutex<u64>,
    shut: Mutex<u64>,
    /// What the next reads come to.
    faults: Mutex<VecDeque<ErrorKind>>,
    /// Called after each read.
    after: Mutex<Option<Then>>,
}

struct Reader {
    rows: Vec<Row>,
    schema: RowSchema,
    asked: std::sync::Arc<Asked>,
}

impl Table {
    /// `count` rows, in turn of these persons, each with a text of so many bytes.
    pub(super) fn of(count: i64, persons: &[&str], bytes: usize) -> Self {
        let row = |id: i64| Row {
            id,
            person: persons[usize::try_from(id).unwrap() % persons.len()].to_owned(),
            name: format!("SECRET-{id}-{}", "x".repeat(bytes)),
            amount: format!("{id}.05"),
        };
        Self {
            rows: (1..=count).map(row).collect(),
            asked: std::sync::Arc::default(),
        }
    }

    pub(super) fn reads(&self) -> u64 {
        *self.asked.reads.lock().unwrap()
    }

    /// Reads that began under a revoked permit.
    pub(super) fn while_shut(&self) -> u64 {
        *self.asked.shut.lock().unwrap()
    }

    pub(super) fn fail(&self, kinds: &[ErrorKind]) {
        self.asked.faults.lock().unwrap().extend(kinds);
    }

    /// Calls this after each read, with how many there were.
    pub(super) fn after_each(&self, then: impl FnMut(u64) + Send + 'static) {
        *self.asked.after.lock().unwrap() = Some(Box::new(then));
    }
}

#[async_trait]
impl Source for Table {
    async fn open_feed(&self, _: &FeedDefinition, _: &Permit) -> source::Result<Box<dyn FeedReader>> {
        Err(source::Error::new(
            ErrorKind::Refused,
            "there are no feeds here",
            "ask",
        ))
    }
    async fn open_question(
        &self,
        question: &Question,
        permit: &Permit,
    ) -> source::Result<Box<dyn QuestionReader>> {
        *self.asked.shut.lock().unwrap() += u64::from(permit.is_revoked());
        let person = question
            .arguments
            .iter()
            .find_map(|argument| match &argument.value {
                Some(Scalar::Text(person)) => Some(person.clone()),
                _ => None,
            });
        let column = |name: &str, kind| Column {
            name: name.into(),
            kind,
            nullable: false,
        };
        let text = || ColumnType::Text { max: None };
        let schema = RowSchema {
            name: question.name.clone(),
            version: 1,
            columns: vec![
                column("id", ColumnType::Int8),
                column("psn_no", text()),
                column("psn_name", text()),
                column("amount", text()),
            ],
            key: question.order.clone(),
            tombstone: None,
        };
        let is_asked = |row: &&Row| person.as_ref().is_none_or(|person| row.person == *person);
        Ok(Box::new(Reader {
            rows: self.rows.iter().filter(is_asked).cloned().collect(),
            schema,
            asked: std::sync::Arc::clone(&self.asked),
        }))
    }
    fn own_backends(&self) -> Vec<u32> {
        Vec::new()
    }
    fn counted(&self) -> DriverCount {
        DriverCount::default()
    }
    async fn close(&self) {}
}

#[async_trait]
impl QuestionReader for Reader {
    fn schema(&self) -> &RowSchema {
        &self.schema
    }
    async fn read(
        &mut self,
        after: Option<&Cursor>,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> source::Result<Quantum> {
        *self.asked.shut.lock().unwrap() += u64::from(permit.is_revoked());
        if let Some(kind) = self.asked.faults.lock().unwrap().pop_front() {
            return Err(source::Error::new(kind, "it broke", "mend it"));
        }
        let from = match after.map(|cursor| cursor.0.as_slice()) {
            Some([Scalar::Int(id)]) => *id,
            _ => 0,
        };
        let mut count = 0;
        for row in self.rows.iter().filter(|row| row.id > from).take(limit) {
            let (person, name) = (Value::Text(&row.person), Value::Text(&row.name));
            rows.row(&[Value::Int(row.id), person, name, Value::Text(&row.amount)]);
            count += 1;
        }
        let reads = {
            let mut reads = self.asked.reads.lock().unwrap();
            *reads += 1;
            *reads
        };
        if let Some(after) = self.asked.after.lock().unwrap().as_mut() {
            after(reads);
        }
        let left = self.rows.iter().filter(|row| row.id > from).count() as u64 - count;
        Ok(Quantum {
            rows: count,
            end: if left > 0 { End::Limit } else { End::Drained },
            took: Duration::from_millis(1),
        })
    }
}
