//! The shipped server configuration, for a private server.

use std::path::Path;

use schemas::name::RecipientName;

use super::accounts;
use super::parties::{FILE, Parties, PartiesError, variable};

const SERVER: &str = include_str!("../../server.conf");
const TLS: &str = include_str!("../../tls.conf");
const AT_REST: &str = include_str!("../../at-rest.conf");

/// What the server has beyond its accounts. Both are off as shipped: a trial on one machine needs neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hardening {
    /// Mutual TLS; the server's environment then names its files, see `tls.conf`.
    pub tls: bool,
    /// Streams encrypted on disk; the environment then holds the key, see `at-rest.conf`.
    pub at_rest: bool,
}

/// The configuration's files for the shipped parties with these recipients, as relative path and text:
/// `server.conf`, what it includes, and the list of parties.
///
/// # Errors
/// As [`Parties::new`].
pub fn files(recipients: &[RecipientName]) -> Result<Vec<(String, String)>, PartiesError> {
    Ok(hardened(&Parties::shipped(recipients)?, Hardening::default()))
}

/// The same for any parties, with TLS or encryption at rest switched on.
#[must_use]
pub fn hardened(parties: &Parties, with: Hardening) -> Vec<(String, String)> {
    let mut files = accounts::files(parties);
    files.push((FILE.to_owned(), parties.render()));
    files.push(("tls.conf".to_owned(), TLS.to_owned()));
    files.push(("at-rest.conf".to_owned(), AT_REST.to_owned()));
    let mut server = String::new();
    for line in SERVER.lines() {
        let switched =
            (with.tls && line.ends_with("# (tls)")) || (with.at_rest && line.ends_with("# (at-rest)"));
        if switched {
            server += &line.replacen("#include", "include", 1);
        } else {
            server += line;
        }
        server.push('\n');
    }
    files.push(("server.conf".to_owned(), server));
    files
}

/// The environment that the configuration reads. `listen` and `monitor` are `address:port`;
/// `keys` are user names with their public connection keys (`U…`).
#[must_use]
pub fn environment(
    listen: &str,
    monitor: &str,
    store: &Path,
    keys: &[(&str, &str)],
) -> Vec<(String, String)> {
    let mut env = vec![
        ("SLACKTIDE_LISTEN".to_owned(), listen.to_owned()),
        ("SLACKTIDE_MONITOR".to_owned(), monitor.to_owned()),
        ("SLACKTIDE_STORE".to_owned(), store.display().to_string()),
    ];
    env.extend(
        keys.iter()
            .map(|(user, public)| (variable(user), (*public).to_owned())),
    );
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_file_with_nothing_switched_on_is_the_shipped_one() {
        let files = files(&[RecipientName::new("insurer-a").unwrap()]).unwrap();
        let server = &files.iter().find(|(path, _)| path == "server.conf").unwrap().1;
        assert_eq!(server, SERVER);
        assert_eq!(variable("pension-fund"), "SLACKTIDE_PENSION_FUND_NKEY");
    }

    #[test]
    fn server_config_tls_and_encryption_are_optional() {
        let server = |tls, at_rest| {
            let parties = Parties::shipped(&[]).unwrap();
            let files = hardened(&parties, Hardening { tls, at_rest });
            let text = files
                .into_iter()
                .find(|(path, _)| path == "server.conf")
                .unwrap()
                .1;
            let on = |file: &str| {
                text.lines()
                    .any(|line| line.trim_start().starts_with(&format!("include {file}")))
            };
            (on("tls.conf"), on("at-rest.conf"))
        };
        assert_eq!(server(false, false), (false, false));
        assert_eq!(server(true, false), (true, false));
        assert_eq!(server(false, true), (false, true));
        assert_eq!(server(true, true), (true, true));
    }
}
