//! The statement of a quantum, which ends with the permit.

use std::error::Error as StdError;
use std::pin::pin;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use gate::permit::Permit;
use schemas::cursor::Scalar;
use tokio::time::timeout;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{RowStream, Statement};

use super::checked_feed::CheckedFeed;
use super::delivery::Delivery;
use super::failure::{self, no_response};
use super::session::{Session, SessionGuard};
use crate::count::YIELD_BOUND;
use crate::error::{Error, ErrorKind, Result};
use crate::port::{End, RowSink};

/// A parameter in the text format of the type that the statement declares for it. `None` is null. The server parses it after the
/// statement.
pub(super) struct TextParameter(pub(super) Option<String>);

/// Returns a cursor value as a parameter's text.
pub(super) fn text(value: &Scalar) -> String {
    match value {
        Scalar::Int(number) => number.to_string(),
        Scalar::Text(text) => text.clone(),
    }
}

/// Omits the value, because arguments name persons.
impl std::fmt::Debug for TextParameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TextParameter(..)")
    }
}

impl ToSql for TextParameter {
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

/// Runs a prepared statement that returns one row more than `limit` if there is one, and delivers its rows in order.
#[expect(
    clippy::too_many_arguments,
    reason = "a struct for one call would only repeat the names"
)]
pub(super) async fn run(
    session: &Session,
    mut locked: SessionGuard<'_>,
    statement: &Statement,
    values: Vec<TextParameter>,
    checked: &CheckedFeed,
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
        let response = locked.connection()?.client.query_raw(statement, values);
        let mut response = pin!(response);
        let first = tokio::select! {
            biased;
            stream = &mut response => FirstEvent::Response(stream),
            () = permit.revoked() => FirstEvent::Revoked,
            () = tokio::time::sleep(session.statement_deadline()) => FirstEvent::NoResponse,
        };
        match first {
            FirstEvent::Response(Ok(stream)) => {
                take_all(stream, permit, limit, session, &locked, &mut delivery).await
            }
            FirstEvent::Response(Err(error)) => StatementEnd::Failed(error),
            FirstEvent::NoResponse => StatementEnd::Hung(Err(no_response())),
            FirstEvent::Revoked => {
                // Cancel the statement while its first response is pending.
                let cancel = locked.connection()?.cancel.clone();
                let ended = timeout(YIELD_BOUND, async {
                    let _ = cancel.send().await;
                    if let Ok(stream) = response.await {
                        let mut stream = pin!(stream);
                        while let Some(Ok(_)) = stream.next().await {
                            session.counter.row();
                        }
                    }
                });
                if ended.await.is_ok() {
                    StatementEnd::End(End::Revoked)
                } else {
                    StatementEnd::Hung(Ok(End::Revoked))
                }
            }
        }
    };
    let delivered_count = delivery.delivered_count();
    match outcome {
        StatementEnd::End(end) => Ok((delivered_count, end)),
        StatementEnd::Refused(error) => Err(error),
        StatementEnd::Hung(end) => {
            locked.abandon();
            end.map(|end| (delivered_count, end))
        }
        StatementEnd::Failed(error) => {
            let error = failure::classify(&error, None);
            if error.kind == ErrorKind::Unreachable {
                locked.abandon();
            }
            if permit.is_revoked() {
                Ok((delivered_count, End::Revoked))
            } else {
                Err(error)
            }
        }
    }
}

enum FirstEvent {
    Response(std::result::Result<RowStream, tokio_postgres::Error>),
    Revoked,
    /// No response, not even an error, within the time in which the server would have sent one.
    NoResponse,
}

/// How a statement ended.
enum StatementEnd {
    End(End),
    /// By an error of the server or the connection.
    Failed(tokio_postgres::Error),
    /// By a row that cannot be served. The statement has ended.
    Refused(Error),
    /// It did not end in time.
    Hung(Result<End>),
}

async fn take_all(
    stream: RowStream,
    permit: &Permit,
    limit: usize,
    session: &Session,
    locked: &SessionGuard<'_>,
    delivery: &mut Delivery<'_>,
) -> StatementEnd {
    let mut stream = pin!(stream);
    let mut revoked = pin!(permit.revoked());
    let mut late = pin!(tokio::time::sleep(session.statement_deadline()));
    let mut seen = 0_usize;
    let stop = loop {
        if permit.is_revoked() {
            break Ok(End::Revoked);
        }
        let next = tokio::select! {
            biased;
            next = stream.next() => next,
            () = &mut revoked => break Ok(End::Revoked),
            () = &mut late => return StatementEnd::Hung(Err(no_response())),
        };
        match next {
            Some(Ok(row)) => {
                session.counter.row();
                seen += 1;
                if let Err(error) = delivery.take(row) {
                    break Err(error);
                }
            }
            Some(Err(error)) => return StatementEnd::Failed(error),
            // The last row only shows that there are more.
            None if seen > limit => return StatementEnd::End(End::Limit),
            None => {
                delivery.deliver();
                return StatementEnd::End(End::Drained);
            }
        }
    };
    let Ok(connection) = locked.connection() else {
        return StatementEnd::Hung(stop);
    };
    let cancel = connection.cancel.clone();
    let ended = timeout(YIELD_BOUND, async {
        // Pending rows are drained during the cancel request, or the server could not read it.
        let drain = async {
            while let Some(Ok(_)) = stream.next().await {
                session.counter.row();
            }
        };
        tokio::join!(cancel.send(), drain)
    });
    match (ended.await, stop) {
        (Ok(_), Ok(end)) => StatementEnd::End(end),
        (Ok(_), Err(error)) => StatementEnd::Refused(error),
        (Err(_), stop) => StatementEnd::Hung(stop),
    }
}
