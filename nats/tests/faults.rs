//! A server that is unreachable, returns, hangs, is full or has another key.

use std::time::Duration;

use bytes::Bytes;
use exchange::{ErrorKind, Exchange, FeedExchange, Published, Settlement};
use harness::until;
use nats::topology::{self, Admin};
use nats::{Connection, JetStream, Options};
use nkeys::KeyPair;
use schemas::name::{FeedName, Lane, RecipientName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::exchange_server::{ExchangeServer, SOON, TIMEOUT, recipients, soon};

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");

fn insurer() -> RecipientName {
    RecipientName::new("insurer-a").unwrap()
}

fn lane() -> Lane {
    Lane {
        recipient: insurer(),
        feed: FeedName::new("setl").unwrap(),
    }
}

/// An agent that soon gives up on an answer, for servers that do not give any.
fn agent(exchange: &ExchangeServer, user: &str) -> Options {
    Options {
        wait: true,
        timeout: Duration::from_secs(2),
        ..exchange.options(user)
    }
}

async fn connected(connection: &JetStream) {
    let state = connection.connection();
    until("the connection", SOON, async || {
        *state.borrow() == Connection::Connected
    })
    .await;
}

async fn disconnected(connection: &JetStream) {
    let state = connection.connection();
    until("the loss of the connection", SOON, async || {
        *state.borrow() != Connection::Connected
    })
    .await;
}

#[tokio::test]
async fn wrong_key_is_refused_at_once_with_the_remedy() {
    let exchange = ExchangeServer::bare().await;
    let stranger = KeyPair::new_user().seed().unwrap();
    for wait in [true, false] {
        let options = Options {
            wait,
            timeout: TIMEOUT,
            connect_timeout: TIMEOUT,
            ..Options::agent(exchange.server.url(), "bureau", stranger.clone())
        };
        let refused = soon("the refusal", JetStream::connect(options)).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated, "{error}");
        assert!(error.to_string().contains("account file"), "{error}");
    }
}

#[tokio::test]
async fn unreachable_server_fails_commands_and_agents_wait() {
    let mut exchange = ExchangeServer::start().await;
    exchange.server.kill9();
    let error = JetStream::connect(exchange.options("bureau")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    let bureau = JetStream::connect(agent(&exchange, "bureau")).await.unwrap();
    let error = bureau.last_chunk(&lane()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    exchange.server.restart().await;
    connected(&bureau).await;
    assert_eq!(bureau.last_chunk(&lane()).await.unwrap(), None);
}

/// An agent that waited for the exchange learns that its key is wrong, and does not wait on.
#[tokio::test]
async fn wrong_key_is_reported_when_the_server_starts_later() {
    let mut exchange = ExchangeServer::start().await;
    exchange.server.kill9();
    let stranger = KeyPair::new_user().seed().unwrap();
    let options = Options {
        seed: Some(stranger),
        ..agent(&exchange, "bureau")
    };
    let bureau = JetStream::connect(options).await.unwrap();
    exchange.server.restart().await;
    until("the refusal", SOON, async || {
        let error = bureau.last_chunk(&lane()).await.unwrap_err();
        (error.kind == ErrorKind::Unauthenticated)
            .then_some(())
            .ok_or(error)
    })
    .await;
    let state = *bureau.connection().borrow();
    assert!(
        matches!(state, Connection::Disconnected { refused: true, .. }),
        "{state:?}"
    );
}

#[tokio::test]
async fn invalid_address_is_an_error_at_once() {
    let options = Options::agent("nats://a b:x", "bureau", KeyPair::new_user().seed().unwrap());
    assert_eq!(
        JetStream::connect(options).await.unwrap_err().kind,
        ErrorKind::Unreachable
    );
}

/// Trap: the client keeps what is published without a connection, and sends it after the caller
/// got the error.
#[tokio::test]
async fn publish_while_disconnected_is_never_stored_later() {
    let mut exchange = ExchangeServer::start().await;
    let patient = Options {
        timeout: TIMEOUT,
        ..agent(&exchange, "bureau")
    };
    let bureau = JetStream::connect(patient).await.unwrap();
    exchange.server.kill9();
    disconnected(&bureau).await;
    let failed = soon("the failure", bureau.publish_chunk(&lane(), A, 0)).await;
    let error = failed.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    exchange.server.restart().await;
    connected(&bureau).await;
    assert!(matches!(
        bureau.publish_chunk(&lane(), B, 0).await.unwrap(),
        Published::Done { .. }
    ));
    assert_eq!(bureau.last_chunk(&lane()).await.unwrap().unwrap().bytes, B);
}

/// No answer is neither yes nor no: what was stored is read back.
#[tokio::test]
async fn publish_to_a_hanging_server_is_unknown() {
    let exchange = ExchangeServer::start().await;
    let bureau = JetStream::connect(agent(&exchange, "bureau")).await.unwrap();
    assert!(bureau.ping().await.unwrap() < SOON);
    exchange.server.suspend();
    let error = bureau.publish_chunk(&lane(), A, 0).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
    exchange.server.resume();
    let stored = until("the chunk", SOON, async || {
        bureau.last_chunk(&lane()).await.ok().flatten()
    })
    .await;
    assert_eq!(stored.bytes, A);
    assert_eq!(
        bureau.publish_chunk(&lane(), A, 0).await.unwrap(),
        Published::Conflict
    );
}

/// A pull whose answer is lost must not hang.
#[tokio::test]
async fn fetch_ends_when_the_server_dies_or_hangs() {
    let mut exchange = ExchangeServer::start().await;
    let recipient = JetStream::connect(agent(&exchange, "insurer-a")).await.unwrap();
    exchange.server.suspend();
    let error = recipient.fetch_chunks(&insurer(), 10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
    let fetching = recipient.clone();
    let fetch = tokio::spawn(async move { fetching.fetch_chunks(&insurer(), 10).await });
    exchange.server.kill9();
    let fetched = soon("the end of the fetch", fetch).await.unwrap();
    assert!(fetched.unwrap_err().kind.is_transient());
}

/// A chunk fetched on one connection, with the server gone before it is settled.
async fn fetched_before(exchange: &ExchangeServer) -> (JetStream, Vec<exchange::Delivery>) {
    let bureau = exchange.connect("bureau").await;
    bureau.publish_chunk(&lane(), A, 0).await.unwrap();
    let recipient = JetStream::connect(agent(exchange, "insurer-a")).await.unwrap();
    let fetched = recipient.fetch_chunks(&insurer(), 10).await.unwrap();
    assert_eq!(fetched.len(), 1);
    (recipient, fetched)
}

/// Never delivered, and delivered but not settled.
async fn left(exchange: &ExchangeServer) -> (u64, u64) {
    let status = topology::status(&exchange.admin().await).await.unwrap();
    let data = status
        .streams
        .iter()
        .find(|stream| stream.name == "DATA_insurer-a")
        .unwrap();
    let consumer = data
        .consumers
        .iter()
        .find(|consumer| consumer.name == "insurer-a")
        .unwrap();
    (consumer.pending, consumer.ack_pending)
}

/// The acknowledgement's subject outlives the connection of the delivery.
#[tokio::test]
async fn delivery_is_settled_after_a_server_restart() {
    let mut exchange = ExchangeServer::start().await;
    let (recipient, fetched) = fetched_before(&exchange).await;
    exchange.server.stop().await;
    disconnected(&recipient).await;
    exchange.server.restart().await;
    connected(&recipient).await;
    recipient.settle(&fetched, Settlement::Ack).await.unwrap();
    assert_eq!(left(&exchange).await, (0, 0));
}

/// A killed server may have forgotten the delivery. It does not answer its settlement and
/// delivers again; whichever it is, the poller's loop ends with nothing left.
#[tokio::test]
async fn delivery_lost_by_a_killed_server_is_redelivered() {
    let mut exchange = ExchangeServer::start().await;
    let (recipient, mut fetched) = fetched_before(&exchange).await;
    exchange.server.kill9();
    disconnected(&recipient).await;
    exchange.server.restart().await;
    connected(&recipient).await;
    until("all to be settled", SOON, async || {
        match recipient.settle(&fetched, Settlement::Ack).await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind, ErrorKind::Unknown, "{error}"),
        }
        fetched = recipient.fetch_chunks(&insurer(), 10).await.unwrap();
        fetched.is_empty() && left(&exchange).await == (0, 0)
    })
    .await;
}

/// Full: refused, nothing lost, and it goes on when there is room.
#[tokio::test]
async fn full_stream_refuses_until_it_has_room() {
    let exchange = ExchangeServer::start().await;
    let admin: Admin = exchange.admin().await;
    let mut small = topology::embedded(&recipients()).unwrap();
    let room = |bytes| {
        move |stream: &mut topology::spec::StreamSpec| {
            if stream.name == "DATA_insurer-a" {
                stream.max_bytes = bytes;
            }
        }
    };
    small.streams.iter_mut().for_each(room(50_000));
    let plan = topology::plan(&admin, &small).await.unwrap();
    topology::apply(&admin, &plan, false).await.unwrap();
    let bureau = exchange.connect("bureau").await;
    let mut expected = 0;
    let error = loop {
        match bureau
            .publish_chunk(&lane(), Bytes::from(vec![0; 20_000]), expected)
            .await
        {
            Ok(Published::Done { sequence }) => expected = sequence,
            Ok(Published::Conflict) => panic!("a conflict"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::Full, "{error}");
    assert_eq!(expected, 2);
    small.streams.iter_mut().for_each(room(500_000));
    let plan = topology::plan(&admin, &small).await.unwrap();
    topology::apply(&admin, &plan, false).await.unwrap();
    bureau.publish_chunk(&lane(), A, expected).await.unwrap();
}

#[tokio::test]
async fn missing_stream_is_named_without_waiting() {
    let exchange = ExchangeServer::bare().await;
    let bureau = exchange.connect("bureau").await;
    let recipient = exchange.connect("insurer-a").await;
    for error in [
        soon("a publish", bureau.publish_chunk(&lane(), A, 0))
            .await
            .unwrap_err(),
        soon("a last chunk", bureau.last_chunk(&lane()))
            .await
            .unwrap_err(),
        soon("a fetch", recipient.fetch_chunks(&insurer(), 1))
            .await
            .unwrap_err(),
        soon("what is left", recipient.is_drained(&insurer()))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Topology, "{error}");
        assert!(error.to_string().contains("exchange apply"), "{error}");
    }
}

#[tokio::test]
async fn closing_is_bounded_with_and_without_a_server() {
    let exchange = ExchangeServer::start().await;
    let one = exchange.connect("bureau").await;
    let other = exchange.connect("bureau").await;
    soon("a close", one.close()).await;
    exchange.server.suspend();
    soon("a close without a server", other.close()).await;
}

/// A server that reloads its accounts closes what is in its handshake: the proxy does so to the first two connections.
#[tokio::test]
async fn connect_cut_off_in_handshake_is_tried_again() {
    let exchange = ExchangeServer::start().await;
    let server = exchange.server.url().trim_start_matches("nats://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = exchange.options("bureau");
    options.url = format!("nats://{}", listener.local_addr().unwrap());
    let proxy = tokio::spawn(async move {
        // Before INFO, and between CONNECT and the answer to it.
        drop(listener.accept().await.unwrap());
        let (mut client, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 8192];
        let mut upstream = TcpStream::connect(&server).await.unwrap();
        let info = upstream.read(&mut bytes).await.unwrap();
        client.write_all(&bytes[..info]).await.unwrap();
        assert!(client.read(&mut bytes).await.unwrap() > 0);
        drop((client, upstream));
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    let bureau = soon("the connection", JetStream::connect(options)).await.unwrap();
    bureau.ping().await.unwrap();
    drop(bureau);
    proxy.abort();
}

/// While a server reloads its accounts it knows no user for a moment: the proxy refuses the first two connections in its place.
#[tokio::test]
async fn connect_refused_during_a_reload_is_tried_again() {
    let exchange = ExchangeServer::start().await;
    let server = exchange.server.url().trim_start_matches("nats://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = exchange.options("bureau");
    options.url = format!("nats://{}", listener.local_addr().unwrap());
    options.wait = false;
    let proxy = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 8192];
            let mut upstream = TcpStream::connect(&server).await.unwrap();
            let info = upstream.read(&mut bytes).await.unwrap();
            client.write_all(&bytes[..info]).await.unwrap();
            assert!(client.read(&mut bytes).await.unwrap() > 0);
            client
                .write_all(b"-ERR 'Authorization Violation'\r\n")
                .await
                .unwrap();
        }
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    let bureau = soon("the connection", JetStream::connect(options)).await.unwrap();
    bureau.ping().await.unwrap();
    drop(bureau);
    proxy.abort();
}
