//! Reports which priority mode would be in force, why, and the effect of the other one.

use std::net::IpAddr;

use ::priority::cgroup::Level;
use ::priority::protocol::Request;
use ::priority::verify::not_idle;
use runtime::config::Loaded;

use super::finding::Findings;
use crate::kernel::client::ask;
use crate::settings::SocialFile;
use crate::settings::database::DatabaseKind;

const ABOUT: &str = "kernel idle priority";
const BENEFIT: &str = "with the helper, rows move about as fast next to a business load, with far less harm";
const INSTALL: &str =
    "install the helper on the core's host (docs/idle-helper.md) and name its socket in [priority] helper";
const NORMAL_MODE: &str = "normal: our backend competes with the business at equal priority; short quanta, pauses and fast reaction limit the harm";

/// Checks the configuration, and asks the helper if there is one. Moves no process.
pub(crate) async fn examine(loaded: &Loaded<SocialFile>, offline: bool, findings: &mut Findings) {
    let table = &loaded.value.priority;
    if table.own {
        findings.ok(
            "own priority",
            "the agent lowers its priority: nice 19, autogroup and IO class, as far as this host permits",
        );
    } else {
        findings.warn(
            "own priority",
            "the agent runs at normal priority; set [priority] own = true",
        );
    }
    let Some(socket) = &table.helper else {
        return findings.ok(
            ABOUT,
            format!("{NORMAL_MODE}, because no helper is configured; {BENEFIT}: {INSTALL}"),
        );
    };
    if offline {
        return findings.ok(ABOUT, "the helper is not checked because of --offline");
    }
    let place = match ask(&loaded.resolve(socket), Request::Describe).await {
        Ok(place) => place,
        Err(error) => return findings.warn(ABOUT, format!("{NORMAL_MODE}: {error} {BENEFIT}: {INSTALL}")),
    };
    if let Some(why) = not_idle(&place) {
        let what = match place.level {
            Level::Lowest { .. } => "the cgroup has a small share but is not idle",
            Level::Idle => "the cgroup is not idle",
        };
        return findings.warn(ABOUT, format!("{NORMAL_MODE}: {what}: {why}; {BENEFIT}"));
    }
    if let Some(why) = refusal_reason(loaded) {
        return findings.warn(ABOUT, format!("{NORMAL_MODE}: {why}; {BENEFIT}"));
    }
    findings.ok(
        ABOUT,
        format!(
            "kernel_idle: agent and backend would run in {}, only when no other process needs the CPU; normal mode would do more harm \
             for about as many rows",
            place.path
        ),
    );
}

/// Returns why the helper would refuse this source.
fn refusal_reason(loaded: &Loaded<SocialFile>) -> Option<String> {
    let table = &loaded.value.source;
    if table.kind == DatabaseKind::Sqlite {
        return None;
    }
    let url = table.url.as_ref()?.read(loaded.folder()).ok()?;
    match host(url.expose()) {
        None => Some(
            "source.url names a Unix socket, whose backend cannot be verified; use 127.0.0.1 instead"
                .to_owned(),
        ),
        Some(host) if is_local(&host) => None,
        Some(_) => Some(
            "source.url names another host; run agent and helper on the core's host and connect to 127.0.0.1"
                .to_owned(),
        ),
    }
}

fn is_local(host: &str) -> bool {
    let plain = host.trim_matches(['[', ']']);
    plain == "localhost" || plain.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns the host of a connection string, or `None` for a Unix socket.
fn host(url: &str) -> Option<String> {
    let host_parameter = |pairs: Vec<&str>| {
        pairs
            .into_iter()
            .find_map(|pair| {
                pair.strip_prefix("host=")
                    .or_else(|| pair.strip_prefix("hostaddr="))
            })
            .map(str::to_owned)
    };
    let host = match url.split_once("://") {
        Some((_, rest)) => {
            let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
            let authority = front.split('/').next().unwrap_or("");
            let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, _)) => host,
                None => authority.split(':').next().unwrap_or(""),
            };
            if host.is_empty() {
                host_parameter(query.split('&').collect())
            } else {
                Some(host.to_owned())
            }
        }
        None => host_parameter(url.split_whitespace().collect()),
    };
    host.filter(|host| {
        !host.is_empty() && !host.starts_with('/') && !host.to_ascii_lowercase().starts_with("%2f")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_parsed_from_every_url_format() {
        for (url, wanted) in [
            ("postgres://u:p%40@127.0.0.1:5432/d", Some("127.0.0.1")),
            ("postgresql://u@[::1]:5432/d", Some("::1")),
            ("postgres://db.example/d?sslmode=disable", Some("db.example")),
            ("postgres:///d?host=localhost", Some("localhost")),
            ("postgres:///d?host=/run/postgresql", None),
            ("postgres://%2Frun%2Fpostgresql/d", None),
            ("host=h user=u", Some("h")),
            ("host=/run/postgresql user=u", None),
            ("user=u", None),
        ] {
            assert_eq!(host(url).as_deref(), wanted, "{url}");
        }
        assert!(is_local("127.0.0.1") && is_local("::1") && is_local("localhost"));
        assert!(!is_local("db.example") && !is_local("10.0.0.1"));
    }
}
