//! PURE: a URL that names several servers, each tried with a time and a mode of its own.
//!
//! The driver goes to the next server when one refuses, but bounds only the connect of the socket: a server that accepts
//! and then sends nothing, such as a primary that hangs, would keep it permanently from the one that took over. And one URL
//! may name a server on loopback and others beyond, which do not have the same default.

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::mode::{Reach, SslMode, required};
use crate::url::{Roots, Url};

/// One server, as the driver takes it, and what it requires of TLS.
#[derive(Clone, PartialEq)]
pub(crate) struct Server {
    pub(crate) wire: Config,
    pub(crate) mode: SslMode,
    pub(crate) reach: Reach,
}

/// The servers of a URL in its order.
pub(crate) fn each(url: &Url) -> Vec<Server> {
    let wire = &url.wire;
    let (names, addresses) = (wire.get_hosts(), wire.get_hostaddrs());
    (0..names.len().max(addresses.len()))
        .map(|place| {
            let (name, address) = (names.get(place), addresses.get(place).copied());
            let reach = Reach::of(name, address);
            let roots_file = matches!(url.tls.roots, Roots::File(_));
            let mode = required(url.tls.mode, url.asks_for_tls(), roots_file, reach);
            let mut one = without_hosts(wire);
            match (name, address) {
                (Some(Host::Tcp(name)), _) => {
                    one.host(name);
                }
                (Some(Host::Unix(path)), _) => {
                    one.host_path(path);
                }
                // The certificate is checked against the address then.
                (None, Some(address)) => {
                    one.host(address.to_string());
                }
                (None, None) => {}
            }
            if let Some(address) = address {
                one.hostaddr(address);
            }
            if let Some(port) = wire.get_ports().get(place).or_else(|| wire.get_ports().first()) {
                one.port(*port);
            }
            one.ssl_mode(mode.wire());
            Server {
                wire: one,
                mode,
                reach,
            }
        })
        .collect()
}

fn without_hosts(wire: &Config) -> Config {
    let mut one = Config::new();
    one.ssl_negotiation(wire.get_ssl_negotiation())
        .keepalives(wire.get_keepalives())
        .keepalives_idle(wire.get_keepalives_idle())
        .target_session_attrs(wire.get_target_session_attrs())
        .channel_binding(wire.get_channel_binding());
    if let Some(user) = wire.get_user() {
        one.user(user);
    }
    if let Some(password) = wire.get_password() {
        one.password(password);
    }
    if let Some(name) = wire.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = wire.get_options() {
        one.options(options);
    }
    if let Some(name) = wire.get_application_name() {
        one.application_name(name);
    }
    if let Some(within) = wire.get_connect_timeout() {
        one.connect_timeout(*within);
    }
    if let Some(within) = wire.get_tcp_user_timeout() {
        one.tcp_user_timeout(*within);
    }
    if let Some(every) = wire.get_keepalives_interval() {
        one.keepalives_interval(every);
    }
    if let Some(times) = wire.get_keepalives_retries() {
        one.keepalives_retries(times);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Vec<Server> {
        each(&Url::parse(url).unwrap())
    }

    #[test]
    fn hosts_each_have_all_that_the_url_contains() {
        let url = "postgres://me:secret@one:5433,two:5434/core?target_session_attrs=read-write&options=-csearch_path%3Dx&keepalives_idle=7&sslmode=require";
        let alone = |host: &str| servers(&url.replace("one:5433,two:5434", host)).remove(0);
        assert!(servers(url) == [alone("one:5433"), alone("two:5434")]);
        let direct: Config = url.replace("one:5433,two:5434", "one:5433").parse().unwrap();
        assert_eq!(alone("one:5433").wire, direct);
    }

    #[test]
    fn hosts_each_have_their_own_default_mode() {
        let modes = |url: &str| servers(url).iter().map(|one| one.mode).collect::<Vec<_>>();
        let mixed = "postgres://u@127.0.0.1,db.example.org/core";
        assert_eq!(modes(mixed), [SslMode::Disable, SslMode::VerifyFull]);
        let written = "postgres://u@127.0.0.1,db.example.org/core?sslmode=prefer";
        assert_eq!(modes(written), [SslMode::Prefer, SslMode::Prefer]);
        let socket = "host=/run/postgresql,db.example.org user=u";
        assert_eq!(servers(socket).len(), 2);
    }

    #[test]
    fn hosts_address_alone_is_the_name_to_verify() {
        let one = servers("hostaddr=10.0.0.5 user=u").remove(0);
        assert_eq!(one.wire.get_hosts(), [Host::Tcp("10.0.0.5".to_owned())]);
        assert_eq!(one.mode, SslMode::VerifyFull);
    }
}
