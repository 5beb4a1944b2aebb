//! The shipped server configuration, for whoever starts a server of their own.

use std::path::Path;

use schemas::name::RecipientName;

use super::files::PATTERN;

const SERVER: &str = include_str!("../../server.conf");
const ADMIN: &str = include_str!("../../accounts/admin.conf");
const BUREAU: &str = include_str!("../../accounts/bureau.conf");
const AUDITOR: &str = include_str!("../../accounts/auditor.conf");
const TLS: &str = include_str!("../../tls.conf");
const AT_REST: &str = include_str!("../../at-rest.conf");
const RECIPIENT: &str = include_str!("../../accounts/insurer-a.conf");

/// What the server has beyond its accounts. Both are off as shipped: a trial on one machine needs neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hardening {
    /// Mutual TLS; the server's environment then names its files, see `tls.conf`.
    pub tls: bool,
    /// Streams encrypted on disk; the environment then holds the key, see `at-rest.conf`.
    pub at_rest: bool,
}

/// What marks the lines of `server.conf` that are repeated for each recipient.
const MARK: &str = "(recipients)";

/// The configuration's files, as relative path and text: `server.conf` and what it includes.
#[must_use]
pub fn files(recipients: &[RecipientName]) -> Vec<(String, String)> {
    hardened(recipients, Hardening::default())
}

/// The same with TLS or encryption at rest switched on.
#[must_use]
pub fn hardened(recipients: &[RecipientName], with: Hardening) -> Vec<(String, String)> {
    let mut files = vec![
        ("tls.conf".to_owned(), TLS.to_owned()),
        ("at-rest.conf".to_owned(), AT_REST.to_owned()),
        ("accounts/admin.conf".to_owned(), ADMIN.to_owned()),
        ("accounts/bureau.conf".to_owned(), BUREAU.to_owned()),
        ("accounts/auditor.conf".to_owned(), AUDITOR.to_owned()),
    ];
    for recipient in recipients {
        files.push((
            format!("accounts/{recipient}.conf"),
            for_recipient(RECIPIENT, recipient),
        ));
    }
    let mut server = String::new();
    for line in SERVER.lines() {
        let repeated = line.contains(MARK) && !line.starts_with('#');
        let switched =
            (with.tls && line.ends_with("# (tls)")) || (with.at_rest && line.ends_with("# (at-rest)"));
        let lines: Vec<String> = if switched {
            vec![line.replacen("#include", "include", 1)]
        } else if repeated {
            recipients
                .iter()
                .map(|recipient| for_recipient(line, recipient))
                .collect()
        } else {
            vec![line.to_owned()]
        };
        for line in lines {
            server.push_str(&line);
            server.push('\n');
        }
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

/// The environment variable that holds a user's public connection key.
#[must_use]
pub fn variable(user: &str) -> String {
    format!("SLACKTIDE_{}_NKEY", upper(user))
}

fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn for_recipient(text: &str, recipient: &RecipientName) -> String {
    text.replace(PATTERN, recipient.as_str())
        .replace(&upper(PATTERN), &upper(recipient.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<(String, String)> {
        let names: Vec<_> = names
            .iter()
            .map(|name| RecipientName::new(*name).unwrap())
            .collect();
        files(&names)
    }

    #[test]
    fn for_the_shipped_recipient_the_files_are_the_shipped_ones() {
        let files = named(&["insurer-a"]);
        let server = &files.iter().find(|(path, _)| path == "server.conf").unwrap().1;
        assert_eq!(server, SERVER);
    }

    #[test]
    fn tls_and_encryption_are_off_as_shipped_and_each_can_be_switched_on() {
        let server = |tls, at_rest| {
            let files = hardened(&[], Hardening { tls, at_rest });
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

    #[test]
    fn each_recipient_has_an_account_of_its_own() {
        let files = named(&["insurer-a", "pension-fund"]);
        let text = |path: &str| &files.iter().find(|(have, _)| have == path).unwrap().1;
        assert!(text("server.conf").contains("include accounts/pension-fund.conf"));
        assert!(text("server.conf").contains("      $PENSION_FUND "));
        assert!(text("accounts/pension-fund.conf").contains("nkey: $SLACKTIDE_PENSION_FUND_NKEY"));
        assert!(!text("accounts/pension-fund.conf").contains("insurer-a"));
        assert_eq!(variable("pension-fund"), "SLACKTIDE_PENSION_FUND_NKEY");
    }
}
