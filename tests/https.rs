//! The exchange over HTTPS: a real nats-server, a real gateway, and each party with its own token or certificate.
//!
//! - `scene` nats-server with accounts, keys and tokens; `certificates` the files of TLS
//! - `gateway_server` a gateway that can be killed and started again on the same port
//! - `web_proxy` a proxy for HTTP/1.1 that loses, truncates, repeats or replaces answers
//! - `conformance` the suite of the port, over TLS and through a proxy
//! - `answers` answers that are lost, truncated, replaced or repeated
//! - `outages` a gateway or nats-server that is killed, connections that end or hang
//! - `credentials` tokens and certificates that are refused or replaced
//! - `kills` agents over HTTPS while gateway, agents and nats-server are killed at random; `gateway_process` the gateway that is killed

mod answers;
mod certificates;
mod conformance;
mod credentials;
mod gateway_process;
mod gateway_server;
mod kills;
mod outages;
mod scene;
mod web_proxy;
