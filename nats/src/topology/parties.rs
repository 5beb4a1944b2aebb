//! The parties of an exchange, as `parties.toml` lists them: name, role and connection keys.
//!
//! The account files are generated from this list and from the table of rights, see
//! [`accounts`](super::accounts) and [`rights`](super::rights).

use std::collections::BTreeSet;
use std::fmt;

use nkeys::KeyPairType;
use schemas::name::{PartyName, RecipientName};
use serde::Deserialize;

/// The file's name.
pub const FILE: &str = "parties.toml";

/// The name of the administrator, whose JetStream API has no prefix.
pub const ADMINISTRATOR: &str = "admin";

/// Names that a file of the accounts has, or an account of the server.
const RESERVED: [&str; 3] = ["all", "hub", "sys"];

/// The parties of one exchange: one administrator, one bureau, any number of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties(Vec<Party>);

/// A party: who it is, what it may do, and the keys by which the exchange knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The name of its account, of its user and of its subjects.
    pub name: PartyName,
    /// What it does, and so what it may do.
    pub role: Role,
    /// Its connection keys: one, or two while the key is changed.
    pub keys: Vec<ConnectionKey>,
}

/// What a party does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Makes streams and consumers.
    Administrator,
    /// Publishes chunks and replies.
    Bureau,
    /// Receives them: an insurer.
    Recipient,
    /// Reads what proves something.
    Auditor,
}

/// A public connection key, or the environment variable of the server that holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ConnectionKey(String);

/// Why a list of parties is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{FILE}: {0}")]
pub struct PartiesError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    party: Vec<Party>,
}

impl Role {
    /// Its word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Bureau => "bureau",
            Self::Recipient => "recipient",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ConnectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ConnectionKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix('$') {
            let letters = name
                .bytes()
                .all(|sign| sign.is_ascii_uppercase() || sign.is_ascii_digit() || sign == b'_');
            if letters && name.starts_with(|first: char| first.is_ascii_uppercase()) {
                return Ok(Self(text));
            }
            return Err(format!(
                "{text:?} names no environment variable; use capital letters, digits and '_'"
            ));
        }
        match nkeys::from_public_key(&text) {
            Ok((kind, _)) if KeyPairType::from(kind) == KeyPairType::User => Ok(Self(text)),
            // The text is not repeated: it may be a seed.
            _ => Err(
                "a connection key is needed: the text of connect.pub (U…), or $NAME of an environment variable"
                    .to_owned(),
            ),
        }
    }
}

impl ConnectionKey {
    /// The environment variable that a party's key is read from, unless another key is named.
    #[must_use]
    pub fn variable_of(party: &PartyName) -> Self {
        Self(format!("${}", variable(party.as_str())))
    }

    /// As nats-server reads it: a variable as it is, a key as a string.
    pub(super) fn in_conf(&self) -> String {
        if self.0.starts_with('$') {
            self.0.clone()
        } else {
            format!("\"{}\"", self.0)
        }
    }
}

/// The environment variable that holds a user's public connection key.
#[must_use]
pub fn variable(user: &str) -> String {
    format!("SLACKTIDE_{}_NKEY", user.to_uppercase().replace('-', "_"))
}

impl Party {
    /// A party whose key is in the environment variable of its name.
    #[must_use]
    pub fn new(name: PartyName, role: Role) -> Self {
        let keys = vec![ConnectionKey::variable_of(&name)];
        Self { name, role, keys }
    }
}

impl Parties {
    /// Checks a list.
    ///
    /// # Errors
    /// [`PartiesError`] when a role or a key is missing, a name or a key is given twice, or a name is reserved.
    pub fn new(list: Vec<Party>) -> Result<Self, PartiesError> {
        let refuse = |what: String| Err(PartiesError(what));
        for role in [Role::Administrator, Role::Bureau] {
            let count = list.iter().filter(|party| party.role == role).count();
            if count != 1 {
                return refuse(format!(
                    "{count} parties have the role {role}, and exactly one must"
                ));
            }
        }
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for party in &list {
            let name = &party.name;
            let is_administrator = party.role == Role::Administrator;
            if is_administrator != (name.as_str() == ADMINISTRATOR) {
                return refuse(format!(
                    "{name} has the role {}: the administrator's name is {ADMINISTRATOR}, and no other party has it",
                    party.role
                ));
            }
            if RESERVED.contains(&name.as_str()) {
                return refuse(format!("{name} is reserved; choose another name"));
            }
            // Names that differ in '-' and '_' only would share one environment variable.
            if !names.insert(variable(name.as_str())) {
                return refuse(format!(
                    "{name} and another party have one environment variable; choose names that differ in more \
                     than '-' and '_'"
                ));
            }
            if party.keys.is_empty() {
                return refuse(format!("{name} has no connection key; name one under keys"));
            }
            if let Some(key) = party.keys.iter().find(|key| !keys.insert((*key).clone())) {
                return refuse(format!(
                    "{name} has the key {key}, which is in the list already: each party has keys of its own"
                ));
            }
        }
        Ok(Self(list))
    }

    /// The administrator, the bureau, the auditor and these recipients, by the shipped names.
    ///
    /// # Errors
    /// As [`Parties::new`].
    pub fn shipped(recipients: &[RecipientName]) -> Result<Self, PartiesError> {
        let named = |name: &str| PartyName::new(name).map_err(|error| PartiesError(error.to_string()));
        let mut list = vec![
            Party::new(named(ADMINISTRATOR)?, Role::Administrator),
            Party::new(named("bureau")?, Role::Bureau),
            Party::new(named("auditor")?, Role::Auditor),
        ];
        for recipient in recipients {
            list.push(Party::new(named(recipient.as_str())?, Role::Recipient));
        }
        Self::new(list)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`PartiesError`] with the place in the text, or as [`Parties::new`].
    pub fn parse(text: &str) -> Result<Self, PartiesError> {
        let file: File = toml::from_str(text).map_err(|error| PartiesError(error.to_string()))?;
        Self::new(file.party)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Party] {
        &self.0
    }

    /// The administrator.
    pub fn administrators(&self) -> impl Iterator<Item = &Party> {
        self.0.iter().filter(|party| party.role == Role::Administrator)
    }

    /// All that have an account of their own.
    pub fn with_account(&self) -> impl Iterator<Item = &Party> {
        self.0.iter().filter(|party| party.role != Role::Administrator)
    }

    /// The names of the recipients.
    pub fn recipients(&self) -> impl Iterator<Item = &PartyName> {
        let recipients = self.0.iter().filter(|party| party.role == Role::Recipient);
        recipients.map(|party| &party.name)
    }

    /// The bureau's name; there is one.
    pub(super) fn bureaus(&self) -> impl Iterator<Item = &PartyName> {
        let bureaus = self.0.iter().filter(|party| party.role == Role::Bureau);
        bureaus.map(|party| &party.name)
    }

    /// The same with one party more.
    ///
    /// # Errors
    /// As [`Parties::new`].
    pub fn with(&self, party: Party) -> Result<Self, PartiesError> {
        let mut list = self.0.clone();
        list.push(party);
        Self::new(list)
    }

    /// The same without a party.
    ///
    /// # Errors
    /// When no party has the name, or as [`Parties::new`].
    pub fn without(&self, name: &PartyName) -> Result<Self, PartiesError> {
        self.find(name)?;
        let kept = self.0.iter().filter(|party| party.name != *name);
        Self::new(kept.cloned().collect())
    }

    /// The same with a changed list of keys of one party.
    ///
    /// # Errors
    /// When no party has the name, or as [`Parties::new`].
    pub fn with_keys(
        &self,
        name: &PartyName,
        change: impl FnOnce(&mut Vec<ConnectionKey>),
    ) -> Result<Self, PartiesError> {
        self.find(name)?;
        let mut list = self.0.clone();
        if let Some(party) = list.iter_mut().find(|party| party.name == *name) {
            change(&mut party.keys);
        }
        Self::new(list)
    }

    /// The party of a name.
    ///
    /// # Errors
    /// When there is none; the error lists those that there are.
    pub fn find(&self, name: &PartyName) -> Result<&Party, PartiesError> {
        self.0.iter().find(|party| party.name == *name).ok_or_else(|| {
            let names: Vec<&str> = self.0.iter().map(|party| party.name.as_str()).collect();
            PartiesError(format!("no party {name}; there are {}", names.join(", ")))
        })
    }

    /// The file's text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::from(
            "# The parties of this exchange. The files under accounts/ are generated from this list, by\n\
             # `slacktide exchange party`: add, remove, list, key, write. A key is the text of connect.pub, or\n\
             # $NAME of a variable in the server's environment.\n",
        );
        for party in &self.0 {
            let keys: Vec<String> = party.keys.iter().map(|key| format!("\"{key}\"")).collect();
            text += &format!(
                "\n[[party]]\nname = \"{}\"\nrole = \"{}\"\nkeys = [{}]\n",
                party.name,
                party.role,
                keys.join(", ")
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str, role: Role) -> Party {
        Party::new(PartyName::new(name).unwrap(), role)
    }

    fn shipped() -> Parties {
        Parties::shipped(&[RecipientName::new("insurer-a").unwrap()]).unwrap()
    }

    #[test]
    fn parties_file_is_read_back_as_it_was_written() {
        let key = nkeys::KeyPair::new_user().public_key();
        let name = PartyName::new("bureau").unwrap();
        let key = ConnectionKey::try_from(key).unwrap();
        let parties = shipped().with_keys(&name, |keys| keys.push(key)).unwrap();
        assert_eq!(Parties::parse(&parties.render()), Ok(parties));
    }

    #[test]
    fn parties_that_would_share_something_are_refused() {
        for (name, role) in [
            ("insurer_a", Role::Recipient),
            ("insurer-a", Role::Recipient),
            ("hub", Role::Recipient),
            ("bureau2", Role::Bureau),
            ("admin2", Role::Administrator),
            ("admin", Role::Auditor),
        ] {
            let refused = shipped().with(party(name, role));
            assert!(refused.is_err(), "{name} {role}");
        }
        let mut thief = party("insurer-b", Role::Recipient);
        thief.keys = shipped().0[1].keys.clone();
        assert!(
            shipped()
                .with(thief)
                .unwrap_err()
                .to_string()
                .contains("keys of its own")
        );
        assert!(shipped().with(party("insurer-b", Role::Recipient)).is_ok());
        assert!(shipped().without(&PartyName::new("bureau").unwrap()).is_err());
    }

    #[test]
    fn connection_key_of_another_kind_is_refused_and_not_repeated() {
        let seed = nkeys::KeyPair::new_user().seed().unwrap();
        let sign = nkeys::KeyPair::new_account().public_key();
        for bad in [seed.as_str(), sign.as_str(), "", "$", "$lower", "$A}", "UABC"] {
            let refused = ConnectionKey::try_from(bad.to_owned()).unwrap_err();
            assert!(bad.len() < 10 || !refused.contains(bad), "{refused}");
        }
    }
}
