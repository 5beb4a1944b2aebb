//! One statement of a quantum: raced against the permit, and ended with it.

use std::error::Error as StdError;
use std::pin::pin;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use gate::permit::Permit;
use schemas::cursor::Scalar;
use tokio::time::timeout;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{RowStream, Statement};

use super::check::Checked;
use super::delivery::Delivery;
use super::failure::{self, unanswered};
use super::session::{Session, Turn};
use crate::count::YIELD_BOUND;
use crate::error::{Error, ErrorKind, Result};
use crate::port::{End, RowSink};

/// A parameter in the text form of whatever type the statement declares for it; none is null. The server reads
/// it as that type, after the statement's text was read.
pub(super) struct Given(pub(super) Option<String>);

/// A place in an order as a parameter.
pub(super) fn text(value: &Scalar) -> String {
    match value {
        Scalar::Int(number) => number.to_string(),
        Scalar::Text(text) => text.clone(),
    }
}

/// Without the value: arguments name persons.
impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Given(..)")
    }
}

impl ToSql for Given {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(text) = &self.0 else {
            return Ok(IsNull::Yes);
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// Runs a prepared statement that brings one row more than `limit` where there is one; hands rows on in order.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing; a struct for one call would only name them again"
)]
pub(super) async fn run(
    session: &Session,
    mut turn: Turn<'_>,
    statement: &Statement,
    values: Vec<Given>,
    checked: &Checked,
    limit: usize,
    permit: &Permit,
    rows: &mut dyn RowSink,
) -> Result<(u64, End)> {
    if permit.is_revoked() {
        return Err(Error::revoked());
    }
    session.counter.statement();
    let mut delivery = Delivery::new(checked, rows);
    let outcome = {
        let asked = turn.live()?.client.query_raw(statement, values);
        let mut asked = pin!(asked);
        let first = tokio::select! {
            biased;
            stream = &mut asked => First::Came(stream),
            () = permit.revoked() => First::Revoked,
            () = tokio::time::sleep(session.patience()) => First::Nothing,
        };
        match first {
            First::Came(Ok(stream)) => take_all(stream, permit, limit, session, &turn, &mut delivery).await,
            First::Came(Err(error)) => Taken::Failed(error),
            First::Nothing => Taken::Stuck(Err(unanswered())),
            First::Revoked => {
                // Still waiting for the first answer: end it, and with it what follows.
                let cancel = turn.live()?.cancel.clone();
                let ended = timeout(YIELD_BOUND, async {
                    let _ = cancel.send().await;
                    if let Ok(stream) = asked.await {
                        let mut stream = pin!(stream);
                        while let Some(Ok(_)) = stream.next().await {
                            session.counter.row();
                        }
                    }
                });
                if ended.await.is_ok() {
                    Taken::End(End::Revoked)
                } else {
                    Taken::Stuck(Ok(End::Revoked))
                }
            }
        }
    };
    let handed = delivery.handed();
    match outcome {
        Taken::End(end) => Ok((handed, end)),
        Taken::Refused(error) => Err(error),
        Taken::Stuck(end) => {
            turn.abandon();
            end.map(|end| (handed, end))
        }
        Taken::Failed(error) => {
            let error = failure::of(&error, None);
            if error.kind == ErrorKind::Unreachable {
                turn.abandon();
            }
            if permit.is_revoked() {
                Ok((handed, End::Revoked))
            } else {
                Err(error)
            }
        }
    }
}

/// What came first of a statement.
enum First {
    Came(std::result::Result<RowStream, tokio_postgres::Error>),
    Revoked,
    /// Not even an error, in a time in which the server would have sent one.
    Nothing,
}

/// How a statement ended.
enum Taken {
    End(End),
    /// The server or the connection.
    Failed(tokio_postgres::Error),
    /// What came cannot be served; the statement has ended.
    Refused(Error),
    /// It did not end in time.
    Stuck(Result<End>),
}

async fn take_all(
    stream: RowStream,
    permit: &Permit,
    limit: usize,
    session: &Session,
    turn: &Turn<'_>,
    delivery: &mut Delivery<'_>,
) -> Taken {
    let mut stream = pin!(stream);
    let mut revoked = pin!(permit.revoked());
    let mut late = pin!(tokio::time::sleep(session.patience()));
    let mut seen = 0_usize;
    let stop = loop {
        if permit.is_revoked() {
            break Ok(End::Revoked);
        }
        let next = tokio::select! {
            biased;
            next = stream.next() => next,
            () = &mut revoked => break Ok(End::Revoked),
            () = &mut late => return Taken::Stuck(Err(unanswered())),
        };
        match next {
            Some(Ok(row)) => {
                session.counter.row();
                seen += 1;
                if let Err(error) = delivery.take(row) {
                    break Err(error);
                }
            }
            Some(Err(error)) => return Taken::Failed(error),
            // The last row shows only that there is more.
            None if seen > limit => return Taken::End(End::Limit),
            None => {
                delivery.hand_on();
                return Taken::End(End::Drained);
            }
        }
    };
    let Ok(live) = turn.live() else {
        return Taken::Stuck(stop);
    };
    let cancel = live.cancel.clone();
    let ended = timeout(YIELD_BOUND, async {
        // Rows on the way are drained beside the cancel, or the server could not read it.
        let drain = async {
            while let Some(Ok(_)) = stream.next().await {
                session.counter.row();
            }
        };
        tokio::join!(cancel.send(), drain)
    });
    match (ended.await, stop) {
        (Ok(_), Ok(end)) => Taken::End(end),
        (Ok(_), Err(error)) => Taken::Refused(error),
        (Err(_), stop) => Taken::Stuck(stop),
    }
}
