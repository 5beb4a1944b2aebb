//! A source that is a list of rows. A query returns the rows of its person argument, or all rows.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use gate::Permit;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::value::Value;
use source::port::DriverCounts;
use source::{
    End, ErrorKind, FeedDefinition, FeedReader, Quantum, RequestQuery, RequestQueryReader, RowSink, Source,
};

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) person: String,
    pub(super) name: String,
    pub(super) amount: String,
}

/// The rows and the log of reads.
#[derive(Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    log: std::sync::Arc<ReadLog>,
}

type Then = Box<dyn FnMut(u64) + Send>;

#[derive(Default)]
struct ReadLog {
    reads: Mutex<u64>,
    closed: Mutex<u64>,
    /// The errors of the next reads.
    faults: Mutex<VecDeque<ErrorKind>>,
    /// Called after each read.
    after: Mutex<Option<Then>>,
}

struct Reader {
    rows: Vec<Row>,
    schema: RowSchema,
    log: std::sync::Arc<ReadLog>,
}

impl Table {
    /// Makes `count` rows of these persons in rotation, each with a text of this many bytes.
    pub(super) fn of(count: i64, persons: &[&str], bytes: usize) -> Self {
        let row = |id: i64| Row {
            id,
            person: persons[usize::try_from(id).unwrap() % persons.len()].to_owned(),
            name: format!("SECRET-{id}-{}", "x".repeat(bytes)),
            amount: format!("{id}.05"),
        };
        Self {
            rows: (1..=count).map(row).collect(),
            log: std::sync::Arc::default(),
        }
    }

    pub(super) fn reads(&self) -> u64 {
        *self.log.reads.lock().unwrap()
    }

    /// Returns the number of reads that began under a revoked permit.
    pub(super) fn while_closed(&self) -> u64 {
        *self.log.closed.lock().unwrap()
    }

    pub(super) fn fail(&self, kinds: &[ErrorKind]) {
        self.log.faults.lock().unwrap().extend(kinds);
    }

    /// Calls this after each read with the number of reads.
    pub(super) fn after_each(&self, then: impl FnMut(u64) + Send + 'static) {
        *self.log.after.lock().unwrap() = Some(Box::new(then));
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
    async fn open_request_query(
        &self,
        question: &RequestQuery,
        permit: &Permit,
    ) -> source::Result<Box<dyn RequestQueryReader>> {
        *self.log.closed.lock().unwrap() += u64::from(permit.is_revoked());
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
            log: std::sync::Arc::clone(&self.log),
        }))
    }
    fn own_backends(&self) -> Vec<u32> {
        Vec::new()
    }
    fn driver_counts(&self) -> DriverCounts {
        DriverCounts::default()
    }
    async fn close(&self) {}
}

#[async_trait]
impl RequestQueryReader for Reader {
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
        *self.log.closed.lock().unwrap() += u64::from(permit.is_revoked());
        if let Some(kind) = self.log.faults.lock().unwrap().pop_front() {
            return Err(source::Error::new(kind, "it broke", "repair it"));
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
            let mut reads = self.log.reads.lock().unwrap();
            *reads += 1;
            *reads
        };
        if let Some(after) = self.log.after.lock().unwrap().as_mut() {
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
