//! One trace follows a chunk, and one a request, through both agents and the gateway.
//!
//! - `collector` a receiver of OTLP over HTTP
//! - `follow` the traces on both transports, off by default, and with a collector that is down

mod collector;
mod follow;
