//! The shipped server configuration, for whoever starts a server of their own.

use std::path::Path;

use schemas::name::RecipientName;

use super::files::PATTERN;

const SERVER: &str = include_str!("../../server.conf");
const ADMIN: &str = include_str!("../../accounts/admin.conf");
const BUREAU: &str = include_str!("../../accounts/bureau.conf");
const AUDITOR: &str = include_str!("../../accounts/auditor.conf");
const RECIPIENT: &str = include_str!("../../accounts/insurer-a.conf");

/// What marks the two lines of `server.conf` that are repeated for each recipient.
const MARK: &str = "(recipients)";

/// The configuration's files, as relative path and text: `server.conf` and its accounts.
#[must_use]
pub fn files(recipients: &[RecipientName]) -> Vec<(String, String)> {
    let mut files = vec![
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
        let lines: Vec<String> = if repeated {
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
