//! What only the whole file can tell of kinds: who is granted them, what they are masked by, and who approves.

use requests::kind::Kinds;
use requests::mask::Mask;

use crate::settings::SocialFile;
use crate::settings::rule::Broken;

impl SocialFile {
    /// The rules of kinds, quotas and officers that the file breaks.
    pub(in crate::settings) fn broken_requests(&self) -> Vec<Broken> {
        let mut broken = self.requests.broken();
        let mut say = |key: &str, what: String, remedy: &str| broken.push(Broken::new(key, what, remedy));
        if let Err(error) = Kinds::new(self.kinds.clone()) {
            say(
                "kind",
                error.to_string(),
                "correct it; docs/requests.md shows a whole one",
            );
        }
        let askers = self.trust.askers();
        for kind in &self.kinds {
            for grant in kind
                .grant
                .iter()
                .filter(|grant| !askers.contains_key(&grant.recipient))
            {
                say(
                    "kind.grant",
                    format!(
                        "kind {:?} is granted to {}, whose requests nobody could check",
                        kind.name, grant.recipient
                    ),
                    "put its sign.pub into [trust]: receipts.NAME or requests.NAME = [\"A…\"]",
                );
            }
            let token = kind.grant.iter().flat_map(|grant| &grant.masks);
            if self.masking.is_none()
                && let Some((column, _)) = { token }.find(|(_, mask)| **mask == Mask::Token)
            {
                say(
                    "kind.grant",
                    format!(
                        "kind {:?} masks {column:?} as a token, and there is no key to make tokens",
                        kind.name
                    ),
                    "write [masking] with key = { file = \"keys/masking.key\" }, at least 32 characters made at random",
                );
            }
            for feed in kind
                .feeds
                .iter()
                .filter(|feed| !self.feeds.iter().any(|known| known.name == **feed))
            {
                say(
                    "kind.feeds",
                    format!("kind {:?} names feed {feed}, which is not in the file", kind.name),
                    "correct the name, or leave feeds out: then a hold of any feed holds the kind",
                );
            }
            let officers = kind.approval.as_ref().map_or(0, |rule| rule.officers as usize);
            if officers > self.trust.officers.len() {
                say(
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
        broken
    }
}
