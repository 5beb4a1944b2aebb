//! Which regime would be in force, why, and what the other would bring.

use std::net::IpAddr;

use ::priority::cgroup::Level;
use ::priority::client::{ask, not_idle};
use ::priority::protocol::Request;
use runtime::config::Loaded;

use super::finding::Findings;
use crate::settings::SocialFile;
use crate::settings::database::DatabaseKind;

const ABOUT: &str = "kernel's help";
const OTHER: &str = "with it rows move about as fast beside a business load, and do far less harm";
const INSTALL: &str =
    "install the helper on the core's host (docs/idle-helper.md) and name its socket in [priority] helper";
const BARE: &str = "bare: the backend that serves us competes as an equal, and short quanta, pauses and reaction keep us back";

/// Looks at what is configured, and asks the helper where there is one; moves nothing.
pub(crate) async fn examine(loaded: &Loaded<SocialFile>, offline: bool, findings: &mut Findings) {
    let table = &loaded.value.priority;
    if table.own {
        findings.ok(
            "own priority",
            "the agent lowers itself: nice 19, autogroup and IO class, as far as this host lets it",
        );
    } else {
        findings.warn(
            "own priority",
            "the agent runs as an equal; set [priority] own = true",
        );
    }
    let Some(socket) = &table.helper else {
        return findings.ok(
            ABOUT,
            format!("{BARE}, for no helper is configured; {OTHER}: {INSTALL}"),
        );
    };
    if offline {
        return findings.ok(ABOUT, "the helper is not asked, for you said --offline");
    }
    let place = match ask(&loaded.resolve(socket), Request::Look).await {
        Ok(place) => place,
        Err(error) => return findings.warn(ABOUT, format!("{BARE}: {error} {OTHER}: {INSTALL}")),
    };
    if let Some(why) = not_idle(&place) {
        let what = match place.level {
            Level::Lowest { .. } => "the group has only a small share",
            Level::Idle => "the group is not idle",
        };
        return findings.warn(ABOUT, format!("{BARE}: {what}: {why}; {OTHER}"));
    }
    if let Some(why) = out_of_reach(loaded) {
        return findings.warn(ABOUT, format!("{BARE}: {why}; {OTHER}"));
    }
    findings.ok(
        ABOUT,
        format!(
            "kernel: agent and backend would run in {}, only when nobody else wants the CPU; bare would do more harm \
             for about as many rows",
            place.path
        ),
    );
}

/// Why the helper would refuse this source.
fn out_of_reach(loaded: &Loaded<SocialFile>) -> Option<String> {
    let table = &loaded.value.source;
    if table.kind == DatabaseKind::Sqlite {
        return None;
    }
    let url = table.url.as_ref()?.read(loaded.folder()).ok()?;
    match host(url.expose()) {
        None => Some(
            "source.url leads to a Unix socket, whose ends nobody can check; write 127.0.0.1 instead"
                .to_owned(),
        ),
        Some(host) if is_here(&host) => None,
        Some(_) => Some(
            "source.url leads elsewhere; run agent and helper on the core's host and connect to 127.0.0.1"
                .to_owned(),
        ),
    }
}

fn is_here(host: &str) -> bool {
    let plain = host.trim_matches(['[', ']']);
    plain == "localhost" || plain.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// PURE: the host of a connection string; none is a Unix socket.
fn host(url: &str) -> Option<String> {
    let named = |pairs: Vec<&str>| {
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
            let place = front.split('/').next().unwrap_or("");
            let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
            let host = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, _)) => host,
                None => place.split(':').next().unwrap_or(""),
            };
            if host.is_empty() {
                named(query.split('&').collect())
            } else {
                Some(host.to_owned())
            }
        }
        None => named(url.split_whitespace().collect()),
    };
    host.filter(|host| {
        !host.is_empty() && !host.starts_with('/') && !host.to_ascii_lowercase().starts_with("%2f")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_from_every_form() {
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
        assert!(is_here("127.0.0.1") && is_here("::1") && is_here("localhost"));
        assert!(!is_here("db.example") && !is_here("10.0.0.1"));
    }
}
