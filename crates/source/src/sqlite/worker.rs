//! The thread, its connection, and how a statement is stopped.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use gate::closed_flag::ClosedFlag;
use gate::permit::Permit;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::SqliteConfig;
use super::failure;
use super::file::FileMark;
use super::head::Head;
use crate::count::DriverCounter;
use crate::error::{Error, ErrorKind, Result};
use crate::meter::Meter;

/// Instructions of the virtual machine between two checks whether to stop: about 10 µs.
const CHECK_EVERY: std::ffi::c_int = 1000;

type Job = Box<dyn FnOnce(&mut WorkerState) + Send>;

/// Sends jobs to the thread.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    closed: ClosedFlag,
    /// The file that is or was last open.
    file: Arc<Mutex<Option<FileMark>>>,
    meter: Meter,
    head: HeadSlot,
}

/// The header of the file that is or was last open.
pub(super) type HeadSlot = Arc<Mutex<Option<Head>>>;

/// The state of the thread.
struct WorkerState {
    config: SqliteConfig,
    counter: Arc<DriverCounter>,
    current: Arc<Mutex<Option<Arc<JobToken>>>>,
    connection: Option<Connection>,
    file: Arc<Mutex<Option<FileMark>>>,
    head: HeadSlot,
}

/// Decides when one job stops.
#[derive(Debug)]
pub(super) struct JobToken {
    cancelled: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    closed: ClosedFlag,
}

impl JobToken {
    /// Whether the permit was revoked.
    pub(super) fn is_revoked(&self) -> bool {
        self.cancelled.load(SeqCst) || self.closed.is_closed()
    }

    fn stops(&self) -> bool {
        let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_revoked() || deadline.is_some_and(|deadline| Instant::now() > deadline)
    }
}

/// A running job. Dropping it before its end cancels the job.
pub(super) struct RunningJob<T> {
    pub(super) done: oneshot::Receiver<Result<T>>,
    token: Arc<JobToken>,
}

impl<T> RunningJob<T> {
    pub(super) fn cancel(&self) {
        self.token.cancelled.store(true, SeqCst);
    }
}

impl<T> Drop for RunningJob<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Worker {
    pub(super) fn start(
        config: SqliteConfig,
        closed: ClosedFlag,
        counter: Arc<DriverCounter>,
    ) -> Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let file = Arc::<Mutex<Option<FileMark>>>::default();
        let opened = Arc::clone(&file);
        let head = HeadSlot::default();
        let head_of_opened = Arc::clone(&head);
        let work = move || {
            let mut state = WorkerState {
                config,
                counter,
                current: Arc::default(),
                connection: None,
                file: opened,
                head: head_of_opened,
            };
            while let Ok(job) = inbox.recv() {
                job(&mut state);
            }
        };
        thread::Builder::new()
            .name("source-sqlite".to_owned())
            .spawn(work)
            .map_err(|error| {
                Error::new(
                    ErrorKind::Database,
                    format!("no thread for the source: {error}"),
                    "raise the process's limits",
                )
            })?;
        Ok(Self {
            jobs,
            closed,
            file,
            meter: Meter::default(),
            head,
        })
    }

    /// Returns a handle to the same thread that measures its own jobs.
    pub(super) fn metered(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
            closed: self.closed.clone(),
            file: Arc::clone(&self.file),
            meter: Meter::default(),
            head: Arc::clone(&self.head),
        }
    }

    /// Returns the total time of its jobs.
    pub(super) fn spent(&self) -> Duration {
        self.meter.total()
    }

    /// Returns the file that was open for the last job.
    pub(super) fn file(&self) -> Option<FileMark> {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the slot of the open file's header.
    pub(super) fn head(&self) -> HeadSlot {
        Arc::clone(&self.head)
    }

    /// Starts a job.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection, &JobToken) -> Result<T> + Send + 'static,
    ) -> RunningJob<T> {
        let token = Arc::new(JobToken {
            cancelled: AtomicBool::new(false),
            deadline: Mutex::default(),
            closed: self.closed.clone(),
        });
        let (answer, done) = oneshot::channel();
        let of_job = Arc::clone(&token);
        let meter = self.meter.clone();
        // If the thread is gone, the receiver reports it.
        let _ = self.jobs.send(Box::new(move |state| {
            let began = Instant::now();
            let done = state.work(&of_job, job);
            meter.add(began.elapsed());
            let _ = answer.send(done);
        }));
        RunningJob { done, token }
    }

    /// Runs a job to its end. It is cancelled when the permit is revoked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        permit: &Permit,
        job: impl FnOnce(&Connection, &JobToken) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if permit.is_revoked() {
            return Err(Error::revoked());
        }
        let mut running = self.begin(job);
        tokio::select! {
            biased;
            answer = &mut running.done => return ended(answer),
            () = permit.revoked() => {}
        }
        running.cancel();
        ended((&mut running.done).await)
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        let (answer, done) = oneshot::channel();
        let _ = self.jobs.send(Box::new(move |state| {
            state.connection = None;
            let _ = answer.send(());
        }));
        let _ = done.await;
    }
}

pub(super) fn ended<T>(answer: std::result::Result<Result<T>, oneshot::error::RecvError>) -> Result<T> {
    answer.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Database,
            "the source's thread ended",
            "restart the agent and report this",
        ))
    })
}

impl WorkerState {
    fn work<T>(
        &mut self,
        token: &Arc<JobToken>,
        job: impl FnOnce(&Connection, &JobToken) -> Result<T>,
    ) -> Result<T> {
        if token.is_revoked() {
            return Err(Error::revoked());
        }
        let deadline = Instant::now() + self.config.statement_timeout;
        *token.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
        let current = Arc::clone(&self.current);
        let set = |token| *current.lock().unwrap_or_else(PoisonError::into_inner) = token;
        set(Some(Arc::clone(token)));
        let outcome = self.connection().and_then(|connection| job(connection, token));
        set(None);
        let rests = |connection: &Connection| connection.is_autocommit() && !connection.is_busy();
        if !self.connection.as_ref().is_some_and(rests) {
            self.connection = None;
        }
        match outcome {
            Err(error) if error.kind == ErrorKind::TimedOut && token.is_revoked() => Err(Error::revoked()),
            other => other,
        }
    }

    fn connection(&mut self) -> Result<&Connection> {
        let connection = match self.connection.take() {
            // An open connection continues to read its file after another file took the name.
            Some(connection) => {
                let opened = *self.file.lock().unwrap_or_else(PoisonError::into_inner);
                if FileMark::read(&self.config.path).ok() != opened {
                    return Err(replaced().at(&format!("source {}", self.config.path.display())));
                }
                connection
            }
            None => self.open()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn open(&self) -> Result<Connection> {
        let path = &self.config.path;
        let place = |error: Error| error.at(&format!("source {}", path.display()));
        if !path.is_file() {
            let missing = Error::new(
                ErrorKind::Refused,
                "the database file does not exist",
                "correct the path in the source's configuration",
            );
            return Err(place(missing));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let before = FileMark::read(path).ok();
        let connection = self
            .set_up(flags)
            .map_err(|error| place(failure::classify(&error)))?;
        if before.is_none() || FileMark::read(path).ok() != before {
            return Err(place(replaced()));
        }
        let opened = std::mem::replace(
            &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner),
            before,
        );
        // If it cannot be read, its counter is not compared.
        let head = Head::open(path).ok();
        let mut slot = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *slot, head);
        if opened != before
            && let Some(last) = last
        {
            last.forget();
        }
        Ok(connection)
    }

    fn set_up(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let mut connection = Connection::open_with_flags(&self.config.path, flags)?;
        let counter = Arc::clone(&self.counter);
        connection.trace_v2(
            TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_ROW,
            Some(move |event: TraceEvent<'_>| match event {
                TraceEvent::Stmt(..) => counter.statement(),
                TraceEvent::Row(_) => counter.row(),
                _ => {}
            }),
        )?;
        connection.busy_timeout(self.config.busy_timeout)?;
        let current = Arc::clone(&self.current);
        connection.progress_handler(
            CHECK_EVERY,
            Some(move || {
                let current = current.lock().unwrap_or_else(PoisonError::into_inner);
                current.as_ref().is_some_and(|token| token.stops())
            }),
        )?;
        connection.pragma_update(None, "query_only", true)?;
        // Reads the file's header: fails if the file is not a database.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    }
}

/// Creates the error of a file whose name another file has now. It is opened, and compared with what was read before.
fn replaced() -> Error {
    Error::new(
        ErrorKind::Unreachable,
        "the database's file was replaced or removed while it was read",
        "it is opened again",
    )
}
