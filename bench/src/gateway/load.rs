//! Readers that poll at a stated rate, and writers that publish as fast as they are acknowledged.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use crate::Outcome;
use crate::arguments::Arguments;
use crate::client::{Connection, Connector};
use crate::site::{Reader, Site, lane_path, poll_path};
use crate::tally::Tally;
use crate::usage::Usage;

/// Bytes of a written message.
const MESSAGE: usize = 1_024;

/// Every so many polls one is from before the last chunk, and gets it.
const CHUNK_EVERY: u64 = 10;

/// How often memory is read.
const SAMPLE: Duration = Duration::from_millis(200);

/// What a run measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// How long the load took.
    pub(crate) took: Duration,
    /// The polls per second that were asked for.
    pub(crate) rate: u32,
    pub(crate) polls: Tally,
    pub(crate) writes: Tally,
    /// The gateway's memory, oldest first, in bytes.
    pub(crate) memory: Vec<u64>,
    /// CPU time of the gateway, of nats-server and of this program.
    pub(crate) cpu: [Duration; 3],
}

/// Runs the load.
///
/// # Errors
/// If a connection cannot be opened, or a server has ended.
pub(crate) async fn run(site: &Site, arguments: &Arguments) -> Outcome<Measured> {
    let connector = Connector::new(&site.authority, site.port)?;
    let (mut polling, mut writing) = (Vec::new(), Vec::new());
    for _ in 0..arguments.connections {
        polling.push(connector.connect().await?);
    }
    for _ in 0..arguments.writers {
        writing.push(connector.connect().await?);
    }
    let pids = [site.gateway.pid(), site.exchange.server.pid(), std::process::id()];
    let before = pids.map(Usage::of);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(arguments.seconds);
    let (mut polls, mut writes) = (JoinSet::new(), JoinSet::new());
    let spacing = Duration::from_secs(1) / arguments.rate;
    for (at, connection) in polling.into_iter().enumerate() {
        let reader = site.readers[at % site.readers.len()].clone();
        let pace = Pace {
            first: begun + spacing * u32::try_from(at)?,
            every: spacing * arguments.connections,
            end,
        };
        polls.spawn(poll(connector.clone(), connection, reader, pace));
    }
    for (at, connection) in writing.into_iter().enumerate() {
        let request = Write {
            path: lane_path(u32::try_from(at)?),
            token: site.writer.clone(),
        };
        writes.spawn(write(connector.clone(), connection, request, end));
    }
    let memory = sample(site.gateway.pid(), end).await?;
    let polls = collect(polls).await?;
    let writes = collect(writes).await?;
    let took = begun.elapsed();
    let after = pids.map(Usage::of);
    let mut cpu = [Duration::ZERO; 3];
    for ((before, after), cpu) in before.into_iter().zip(after).zip(&mut cpu) {
        *cpu = after?.cpu.saturating_sub(before?.cpu);
    }
    Ok(Measured {
        took,
        rate: arguments.rate,
        polls,
        writes,
        memory,
        cpu,
    })
}

async fn collect(mut tasks: JoinSet<Tally>) -> Outcome<Tally> {
    let mut whole = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        whole.add(tally?);
    }
    Ok(whole)
}

async fn sample(gateway: u32, end: Instant) -> Outcome<Vec<u64>> {
    let mut ticks = interval(SAMPLE);
    let mut memory = Vec::new();
    while Instant::now() < end {
        ticks.tick().await;
        memory.push(Usage::of(gateway)?.memory);
    }
    Ok(memory)
}

/// When a connection polls.
#[derive(Debug, Clone, Copy)]
struct Pace {
    first: Instant,
    every: Duration,
    end: Instant,
}

/// Polls at its pace. The latency counts from the moment at which the poll was due, so that a stalled gateway is not measured less
/// often.
async fn poll(connector: Connector, mut connection: Connection, reader: Reader, pace: Pace) -> Tally {
    let request = |cursor: &str| {
        format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            poll_path(cursor),
            reader.token
        )
        .into_bytes()
    };
    let (nothing, chunk) = (request(&reader.last), request(&reader.before_last));
    let mut tally = Tally::default();
    let mut due = pace.first;
    let mut number = 0_u64;
    while due < pace.end {
        sleep_until(due).await;
        let request = if number.is_multiple_of(CHUNK_EVERY) {
            &chunk
        } else {
            &nothing
        };
        let answer = connection.send(request).await;
        let is_last = answer.as_ref().map_or(true, |answer| answer.is_last);
        match answer {
            Ok(answer) => tally.answered(answer.status, due.elapsed()),
            Err(error) => tally.failed(error.to_string()),
        }
        if is_last {
            match connector.connect().await {
                Ok(opened) => connection = opened,
                Err(error) => {
                    tally.failed(error.to_string());
                    return tally;
                }
            }
        }
        number += 1;
        due += pace.every;
        // A poll that took longer than its interval: polls of the past are not sent all at once, and are missing in the count.
        let now = Instant::now();
        while due + pace.every < now {
            due += pace.every;
        }
    }
    tally
}

/// What a writer sends.
#[derive(Debug)]
struct Write {
    path: String,
    token: String,
}

/// Publishes one message after the other.
async fn write(connector: Connector, mut connection: Connection, write: Write, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut etag = "\"0\"".to_owned();
    while Instant::now() < end {
        let mut request = format!(
            "PUT {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nIf-Match: {etag}\r\n\
             Content-Type: application/vnd.slacktide.message\r\nContent-Length: {MESSAGE}\r\n\r\n",
            write.path, write.token
        )
        .into_bytes();
        request.resize(request.len() + MESSAGE, b'x');
        let sent = Instant::now();
        match connection.send(&request).await {
            Ok(answer) => {
                tally.answered(answer.status, sent.elapsed());
                if let Some(current) = answer.etag {
                    etag = current;
                }
                if !answer.is_last {
                    continue;
                }
            }
            Err(error) => tally.failed(error.to_string()),
        }
        match connector.connect().await {
            Ok(opened) => connection = opened,
            Err(error) => {
                tally.failed(error.to_string());
                return tally;
            }
        }
    }
    tally
}
