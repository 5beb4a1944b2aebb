//! A URL that names several servers, each tried with a time of its own.
//!
//! The driver goes to the next server when one refuses, but bounds only the connect of the socket: a server that accepts
//! and then says nothing, such as a primary that hangs, would keep it from the one that took over, for ever.

use tokio_postgres::Config;
use tokio_postgres::config::LoadBalanceHosts;

/// The same for each server by itself, in the order of the URL. What is to be spread by chance is left to the driver.
pub(super) fn each(wire: &Config) -> Vec<Config> {
    let (names, addresses) = (wire.get_hosts(), wire.get_hostaddrs());
    let servers = names.len().max(addresses.len());
    if servers < 2 || wire.get_load_balance_hosts() == LoadBalanceHosts::Random {
        return vec![wire.clone()];
    }
    (0..servers)
        .map(|place| {
            let mut one = without_hosts(wire);
            match names.get(place) {
                Some(tokio_postgres::config::Host::Tcp(name)) => {
                    one.host(name);
                }
                Some(tokio_postgres::config::Host::Unix(path)) => {
                    one.host_path(path);
                }
                None => {}
            }
            if let Some(address) = addresses.get(place) {
                one.hostaddr(*address);
            }
            if let Some(port) = wire.get_ports().get(place).or_else(|| wire.get_ports().first()) {
                one.port(*port);
            }
            one
        })
        .collect()
}

fn without_hosts(wire: &Config) -> Config {
    let mut one = Config::new();
    one.ssl_mode(wire.get_ssl_mode())
        .ssl_negotiation(wire.get_ssl_negotiation())
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

    #[test]
    fn each_server_has_all_that_the_url_says() {
        let url = "postgres://me:secret@one:5433,two:5434/core?target_session_attrs=read-write&options=-csearch_path%3Dx&keepalives_idle=7";
        let wire: Config = url.parse().unwrap();
        let alone = |host: &str| -> Config {
            let url = url.replace("one:5433,two:5434", host);
            url.parse().unwrap()
        };
        assert_eq!(each(&wire), [alone("one:5433"), alone("two:5434")]);
        assert_eq!(each(&alone("one:5433")), [alone("one:5433")]);
        let spread: Config = format!("{url}&load_balance_hosts=random").parse().unwrap();
        assert_eq!(each(&spread), [spread]);
    }
}
