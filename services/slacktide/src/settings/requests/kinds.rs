//! Rules about kinds that need the whole file: grants, masks and officers.

use disclosure::mask::Mask;
use requests::kind::Kinds;

use crate::settings::SocialFile;
use crate::settings::violation::ConfigViolation;

impl SocialFile {
    /// Returns the violated rules of kinds, quotas and officers.
    pub(in crate::settings) fn request_violations(&self) -> Vec<ConfigViolation> {
        let mut violations = self.requests.violations();
        let mut report =
            |key: &str, what: String, remedy: &str| violations.push(ConfigViolation::new(key, what, remedy));
        if let Err(error) = Kinds::new(self.kinds.clone()) {
            report(
                "kind",
                error.to_string(),
                "correct it; docs/requests.md shows a complete one",
            );
        }
        let request_keys = self.trust.request_keys();
        for kind in &self.kinds {
            for grant in kind
                .grant
                .iter()
                .filter(|grant| !request_keys.contains_key(&grant.recipient))
            {
                report(
                    "kind.grant",
                    format!(
                        "kind {:?} is granted to {}, whose requests no key could verify",
                        kind.name, grant.recipient
                    ),
                    "put its sign.pub into [trust]: receipts.NAME or requests.NAME = [\"A…\"]",
                );
            }
            let token = kind.grant.iter().flat_map(|grant| &grant.masks);
            if self.masking.is_none()
                && let Some((column, _)) = { token }.find(|(_, mask)| **mask == Mask::Token)
            {
                report(
                    "kind.grant",
                    format!(
                        "kind {:?} masks {column:?} as a token, and there is no key to make tokens",
                        kind.name
                    ),
                    "write [masking] with key = { file = \"keys/masking.key\" }, at least 32 random characters",
                );
            }
            for feed in kind
                .feeds
                .iter()
                .filter(|feed| !self.feeds.iter().any(|known| known.name == **feed))
            {
                report(
                    "kind.feeds",
                    format!("kind {:?} names feed {feed}, which is not in the file", kind.name),
                    "correct the name, or leave feeds out: then a hold of any feed holds the kind",
                );
            }
            let officers = kind.approval.as_ref().map_or(0, |rule| rule.officers as usize);
            if officers > self.trust.officers.len() {
                report(
                    "trust.officers",
                    format!(
                        "kind {:?} waits for {officers} officers, and {} are named",
                        kind.name,
                        self.trust.officers.len()
                    ),
                    "name them with their sign.pub: officers = { li_na = [\"A…\"] }",
                );
            }
        }
        violations
    }
}
