//! Serves connections, with access control and limits, in one thread.
//!
//! A user who is not allowed is refused at once and uses no slot. Each allowed user has its own connection slots and
//! request rate, so that no user can block another. Requests are handled one at a time, so that two moves never
//! interleave, and the users take turns: between two requests of one user, each other user's next request is handled.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use priority::protocol::{LineReader, Reply, Request, to_line};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::allowance::{Allowance, Rate};
use crate::listen::Listener;
use crate::log;
use crate::peer::{Peer, PeerIdentification};
use crate::request_handler::{RequestHandler, not_allowed};

/// Maximum number of connections accepted before lines are read again.
const MAX_ACCEPTED: usize = 64;
/// The pause after the kernel failed, for example for lack of a descriptor: retrying at once would only use CPU.
const PAUSE: Duration = Duration::from_millis(100);

/// The limits of one user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Concurrent connections.
    pub(crate) connections: usize,
    /// The time for the line of a request, and then for its turn.
    pub(crate) within: Duration,
    /// The request rate.
    pub(crate) rate: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16,
            within: Duration::from_secs(2),
            rate: Rate::default(),
        }
    }
}

/// The resources in use by one user.
struct User {
    uid: u32,
    connections: usize,
    allowance: Allowance,
}

/// A connection of an allowed user.
struct Connection {
    /// Its user's index.
    user: usize,
    peer: Peer,
    stream: UnixStream,
    line: LineReader,
    /// The request, once its line is complete.
    request: Option<Request>,
    /// When it is closed without a reply.
    deadline: Instant,
}

/// Serves the socket.
pub(crate) struct Server {
    handler: RequestHandler,
    peer_identification: PeerIdentification,
    limits: Limits,
    listener: Listener,
    users: Vec<User>,
    refusal_log_rate: Allowance,
    /// In the order in which they were accepted.
    connections: Vec<Connection>,
    /// The index of the user whose turn is next.
    next_user: usize,
    /// No connection is accepted before, because accepting failed.
    paused_until: Option<Instant>,
}

/// What can be read.
struct Readiness {
    stop: bool,
    listener: bool,
    /// Indices of connections, in ascending order.
    connections: Vec<usize>,
}

impl Server {
    pub(crate) fn new(
        handler: RequestHandler,
        peer_identification: PeerIdentification,
        limits: Limits,
        listener: Listener,
    ) -> Self {
        let now = Instant::now();
        let user = |uid: &u32| User {
            uid: *uid,
            connections: 0,
            allowance: Allowance::new(limits.rate, now),
        };
        Self {
            users: handler.allowed().iter().map(user).collect(),
            handler,
            peer_identification,
            limits,
            listener,
            refusal_log_rate: Allowance::new(limits.rate, now),
            connections: Vec::new(),
            next_user: 0,
            paused_until: None,
        }
    }

    /// Serves until `stop` can be read or its other end is closed.
    pub(crate) fn run(mut self, stop: BorrowedFd<'_>) {
        loop {
            let ready = match self.wait(stop) {
                Ok(ready) => ready,
                Err(error) => {
                    log::error(
                        "waiting for connections failed",
                        &[("error", error.to_string().into())],
                    );
                    std::thread::sleep(PAUSE);
                    continue;
                }
            };
            if ready.stop {
                return;
            }
            self.read_lines(&ready.connections);
            self.close_expired();
            if ready.listener {
                self.accept();
            }
            self.handle_next();
        }
    }

    /// Waits until something can be read, a deadline has passed, or a request is ready.
    fn wait(&self, stop: BorrowedFd<'_>) -> io::Result<Readiness> {
        let now = Instant::now();
        let is_paused = self.paused_until.is_some_and(|until| now < until);
        let mut files = vec![PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        if !is_paused {
            files.push(PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN));
        }
        let first_connection = files.len();
        let mut reading = Vec::new();
        for (index, connection) in self.connections.iter().enumerate() {
            if connection.request.is_none() {
                reading.push(index);
                files.push(PollFd::new(&connection.stream, PollFlags::IN));
            }
        }
        let timeout = self.timeout(now).map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match poll(&mut files, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |file: &PollFd<'_>| !file.revents().is_empty();
        let (before, of_connections) = files.split_at(first_connection);
        Ok(Readiness {
            stop: is_ready(&before[0]),
            listener: before.get(1).is_some_and(is_ready),
            connections: reading
                .into_iter()
                .zip(of_connections)
                .filter(|(_, file)| is_ready(file))
                .map(|(index, _)| index)
                .collect(),
        })
    }

    /// Returns how long to wait at most; `None` without a limit.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self
            .connections
            .iter()
            .any(|connection| connection.request.is_some())
        {
            return Some(Duration::ZERO);
        }
        let deadlines = self.connections.iter().map(|connection| connection.deadline);
        let next = deadlines
            .chain(self.paused_until.filter(|until| now < *until))
            .min();
        next.map(|next| next.saturating_duration_since(now))
    }

    /// Accepts the connections that wait.
    fn accept(&mut self) {
        for _ in 0..MAX_ACCEPTED {
            let accepted = self.listener.accept().and_then(|stream| {
                let Some(stream) = stream else { return Ok(None) };
                stream.set_nonblocking(true)?;
                let empty = self.listener.queue_was_empty;
                let peer = Peer::from_socket(&stream, self.peer_identification, empty)?;
                Ok(Some((stream, peer)))
            });
            match accepted {
                Ok(Some((stream, peer))) => self.admit(stream, peer),
                Ok(None) => return,
                Err(error) => {
                    log::warn("connection not accepted", &[("error", error.to_string().into())]);
                    self.paused_until = Some(Instant::now() + PAUSE);
                    return;
                }
            }
        }
    }

    /// Gives the connection a slot of its user, or refuses it.
    fn admit(&mut self, stream: UnixStream, peer: Peer) {
        let now = Instant::now();
        let uid = peer.uid;
        let Some(user) = self.users.iter().position(|user| user.uid == uid) else {
            if self.refusal_log_rate.take(now) {
                log::warn(
                    "refused: user is not allowed",
                    &[("requester_pid", peer.pid.into()), ("requester_uid", uid.into())],
                );
            }
            return reply(
                &stream,
                &Reply::Refused {
                    why: not_allowed(uid),
                },
            );
        };
        let max = self.limits.connections;
        let share = &mut self.users[user];
        let why = if share.connections >= max {
            format!("user {uid} has {max} connections already; close one")
        } else if !share.allowance.take(now) {
            format!("user {uid} exceeds the request rate; retry in a second")
        } else {
            share.connections += 1;
            self.connections.push(Connection {
                user,
                peer,
                stream,
                line: LineReader::default(),
                request: None,
                deadline: now + self.limits.within,
            });
            return;
        };
        reply(&stream, &Reply::Refused { why });
    }

    /// Reads from these connections, in ascending order. A line that is no request is refused.
    fn read_lines(&mut self, ready: &[usize]) {
        // From the last one, so that the indices of the others stay valid.
        for index in ready.iter().rev() {
            let connection = &mut self.connections[*index];
            match connection.line.read(&connection.stream) {
                Ok(None) => {}
                Ok(Some(request)) => {
                    connection.request = Some(request);
                    connection.deadline = Instant::now() + self.limits.within;
                }
                Err(error) => {
                    let connection = self.remove(*index);
                    log::warn(
                        "invalid request",
                        &[
                            ("requester_pid", connection.peer.pid.into()),
                            ("requester_uid", connection.peer.uid.into()),
                            ("error", error.to_string().into()),
                        ],
                    );
                    let why = "not a valid request; send one line of JSON".to_owned();
                    reply(&connection.stream, &Reply::Refused { why });
                }
            }
        }
    }

    /// Closes the connections whose time is used up.
    fn close_expired(&mut self) {
        let now = Instant::now();
        for index in (0..self.connections.len()).rev() {
            if self.connections[index].deadline <= now {
                self.remove(index);
            }
        }
    }

    /// Handles the oldest request of the user whose turn it is.
    fn handle_next(&mut self) {
        let waiting = self.connections.iter();
        let waiting = waiting.map(|connection| connection.request.map(|_| connection.user));
        let users = self.users.len();
        let Some(index) = next_turn(&waiting.collect::<Vec<_>>(), self.next_user, users) else {
            return;
        };
        let connection = self.remove(index);
        self.next_user = (connection.user + 1) % users;
        if let Some(request) = connection.request {
            reply(&connection.stream, &self.handler.answer(connection.peer, request));
        }
    }

    fn remove(&mut self, index: usize) -> Connection {
        let connection = self.connections.remove(index);
        let user = &mut self.users[connection.user];
        user.connections = user.connections.saturating_sub(1);
        connection
    }
}

/// Replies without waiting: a reply fits into the buffer of a new connection. The client may have gone away.
fn reply(mut stream: &UnixStream, reply: &Reply) {
    if let Ok(line) = to_line(reply) {
        let _ = stream.write_all(&line);
    }
}

/// PURE. Returns the index of the connection whose request is handled next: the oldest one of the first user from
/// `next_user` on that has a request. `waiting` has the user of each connection with a request, the oldest first.
fn next_turn(waiting: &[Option<usize>], next_user: usize, users: usize) -> Option<usize> {
    (0..users).find_map(|turn| {
        let user = (next_user + turn) % users;
        waiting.iter().position(|waits| *waits == Some(user))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_goes_to_each_user_before_one_has_a_second() {
        // User 0 has filled the queue before user 2 asks once; user 1 has sent no request yet.
        let mut waiting = vec![Some(0), Some(0), Some(0), None, Some(2)];
        let (mut next_user, mut order) = (0, Vec::new());
        while let Some(index) = next_turn(&waiting, next_user, 3) {
            let user = waiting.remove(index).expect("it waits");
            next_user = (user + 1) % 3;
            order.push(user);
        }
        assert_eq!(order, [0, 2, 0, 0]);
        assert_eq!(waiting, [None]);
        assert_eq!(next_turn(&[], 0, 3), None);
    }

    #[test]
    fn turn_of_a_user_goes_to_its_oldest_request() {
        assert_eq!(next_turn(&[None, Some(1), Some(0), Some(1)], 1, 2), Some(1));
        assert_eq!(next_turn(&[None, Some(1), Some(0), Some(1)], 0, 2), Some(2));
    }
}
