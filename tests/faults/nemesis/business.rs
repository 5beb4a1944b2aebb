//! The business: two clients of the core that insert, update and delete rows until they are paused. One uses transactions in
//! two phases, as an XA coordinator does; some stay prepared for a while, and some are rolled back.

use std::sync::Arc;
use std::time::Duration;

use harness::Db;
use harness::rng::Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, NoTls};

/// The number of clients. Client `n` uses the keys with `key % CLIENTS == n`, so that they do not wait for each other.
const CLIENTS: usize = 2;

/// The client that prepares its transactions.
const TWO_PHASE: usize = 1;

/// Most transactions that are prepared at a time; the server has ten places.
const MOST_PREPARED: usize = 4;

/// How long an event of the business may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the clients are to do.
#[derive(Clone)]
struct Assignment {
    core: Db,
    is_paused: bool,
}

/// What the clients have done.
#[derive(Debug, Default)]
struct Progress {
    committed: u64,
    is_idle: [bool; CLIENTS],
}

pub(super) struct Business {
    assignment: watch::Sender<Assignment>,
    progress: watch::Receiver<Progress>,
    clients: Vec<JoinHandle<()>>,
}

impl Business {
    /// Starts both clients. They change rows with keys up to `rows`, and add rows.
    pub(super) fn start(core: Db, seed: u64, rows: u32) -> Self {
        let assignment = watch::Sender::new(Assignment {
            core,
            is_paused: false,
        });
        let progress = Arc::new(watch::Sender::new(Progress::default()));
        let client = |number: usize| BusinessClient {
            number,
            rows,
            assignment: assignment.subscribe(),
            progress: Arc::clone(&progress),
            rng: Rng::new(seed ^ (number as u64 + 1)),
            prepared_count: 0,
        };
        let clients = (0..CLIENTS)
            .map(|number| tokio::spawn(client(number).run()))
            .collect();
        Self {
            assignment,
            progress: progress.subscribe(),
            clients,
        }
    }

    /// Returns the number of transactions so far.
    pub(super) fn committed(&self) -> u64 {
        self.progress.borrow().committed
    }

    /// Waits until this many more transactions are committed.
    pub(super) async fn run(&mut self, more: u64) {
        let wanted = self.committed() + more;
        self.wait("commit", |progress| progress.committed >= wanted).await;
    }

    /// Returns when no client has an open or a prepared transaction.
    pub(super) async fn pause(&mut self) {
        self.assignment
            .send_modify(|assignment| assignment.is_paused = true);
        self.wait("pause", |progress| progress.is_idle == [true; CLIENTS])
            .await;
    }

    pub(super) fn resume(&self) {
        self.assignment
            .send_modify(|assignment| assignment.is_paused = false);
    }

    /// Continues on another server.
    pub(super) fn move_to(&self, core: Db) {
        self.assignment.send_modify(|assignment| assignment.core = core);
    }

    async fn wait(&mut self, what: &str, condition: impl FnMut(&Progress) -> bool) {
        let waited = tokio::time::timeout(DEADLINE, self.progress.wait_for(condition)).await;
        let seen = waited.map(|seen| seen.map(|_| ()));
        assert!(
            matches!(seen, Ok(Ok(()))),
            "the business did not {what} within {DEADLINE:?}: {:?}",
            self.progress.borrow()
        );
    }
}

impl Drop for Business {
    fn drop(&mut self) {
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

struct BusinessClient {
    number: usize,
    rows: u32,
    assignment: watch::Receiver<Assignment>,
    progress: Arc<watch::Sender<Progress>>,
    rng: Rng,
    /// Names the prepared transactions; a name is not used twice.
    prepared_count: u64,
}

/// A session with the core, and what its client knows of it.
struct Session {
    client: Client,
    url: String,
    next_key: i64,
    /// Names of prepared transactions.
    prepared: Vec<String>,
}

impl BusinessClient {
    async fn run(mut self) {
        let mut session = None;
        loop {
            let assignment = self.assignment.borrow_and_update().clone();
            match self.work(&mut session, &assignment).await {
                Ok(()) if assignment.is_paused => {
                    self.set_idle(true);
                    if self.assignment.changed().await.is_err() {
                        return;
                    }
                    self.set_idle(false);
                }
                Ok(()) => self.progress.send_modify(|progress| progress.committed += 1),
                Err(_) => end_transaction(&mut session).await,
            }
            // The pace of the business is an input of the test.
            let pace = Duration::from_millis(self.rng.below(12) as u64 + 2);
            tokio::time::sleep(pace).await;
        }
    }

    fn set_idle(&self, is_idle: bool) {
        self.progress
            .send_modify(|progress| progress.is_idle[self.number] = is_idle);
    }

    /// Runs one transaction, or ends what is prepared before a pause.
    async fn work(&mut self, session: &mut Option<Session>, assignment: &Assignment) -> Result<(), Error> {
        let session = match session {
            Some(session) if session.url == assignment.core.url => session,
            _ => session.insert(self.open(&assignment.core.url).await?),
        };
        if assignment.is_paused {
            while let Some(name) = session.prepared.last() {
                let end = self.ending();
                session.client.batch_execute(&format!("{end} '{name}'")).await?;
                session.prepared.pop();
            }
            return Ok(());
        }
        let mut changes = String::from("BEGIN");
        for _ in 0..=self.rng.below(8) {
            changes += "; ";
            changes += &self.change(session);
        }
        if self.number != TWO_PHASE {
            return session.client.batch_execute(&format!("{changes}; COMMIT")).await;
        }
        self.prepared_count += 1;
        let name = format!("nemesis-{}", self.prepared_count);
        let prepare = format!("{changes}; PREPARE TRANSACTION '{name}'");
        session.client.batch_execute(&prepare).await?;
        session.prepared.push(name);
        // The oldest one ends at the latest when there are too many.
        let most = if self.rng.percent(70) { 0 } else { MOST_PREPARED };
        while session.prepared.len() > most {
            let end = self.ending();
            let name = &session.prepared[0];
            session.client.batch_execute(&format!("{end} '{name}'")).await?;
            session.prepared.remove(0);
        }
        Ok(())
    }

    /// Connects, and ends what is prepared, as a coordinator does after a crash.
    async fn open(&mut self, url: &str) -> Result<Session, Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        if self.number == TWO_PHASE {
            let prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
            for row in client.query(prepared, &[]).await? {
                let end = self.ending();
                let name: &str = row.get(0);
                client.batch_execute(&format!("{end} '{name}'")).await?;
            }
        }
        let newest = client
            .query_one("SELECT coalesce(max(id), 0) FROM claim", &[])
            .await?;
        let clients = CLIENTS as i64;
        Ok(Session {
            client,
            url: url.to_owned(),
            next_key: (newest.get::<_, i64>(0) / clients + 1) * clients + self.number as i64,
            prepared: Vec::new(),
        })
    }

    fn change(&mut self, session: &mut Session) -> String {
        let key = self.rng.below(self.rows as usize / CLIENTS) * CLIENTS + self.number;
        match self.rng.below(10) {
            0..=3 => {
                let new = session.next_key;
                session.next_key += CLIENTS as i64;
                let memo = self
                    .rng
                    .pick(&["NULL", "''", "'a; b'", "repeat(md5(random()::text), 9)"]);
                format!(
                    "INSERT INTO claim (id, name, amount, memo) VALUES ({new}, 'new', {key} / 100.0, {memo})"
                )
            }
            // No client waits for a row of a prepared transaction: the server's timeouts follow its clock, which is stepped.
            kind => {
                let set = if kind < 8 {
                    "amount = coalesce(amount, 0) + 0.01, deleted = false"
                } else {
                    "deleted = true"
                };
                format!(
                    "UPDATE claim SET {set}, updated_at = now() \
                     WHERE id IN (SELECT id FROM claim WHERE id = {key} FOR UPDATE SKIP LOCKED)"
                )
            }
        }
    }

    fn ending(&mut self) -> &'static str {
        if self.rng.percent(75) {
            "COMMIT PREPARED"
        } else {
            "ROLLBACK PREPARED"
        }
    }
}

/// Ends a failed transaction. A session that fails at that is replaced, and so is one that lost track of what is prepared.
async fn end_transaction(session: &mut Option<Session>) {
    if let Some(open) = session
        && (!open.prepared.is_empty() || open.client.batch_execute("ROLLBACK").await.is_err())
    {
        *session = None;
    }
}
