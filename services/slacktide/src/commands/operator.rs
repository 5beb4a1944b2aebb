//! Who acts: a person by name, and the chain of the party's operators that keeps it for ever.

use schemas::name::PartyName;
use schemas::sign::SigningKey;
use social::epoch::Signatory;

use crate::failure::Failure;

/// The operators' audit chain, in one life of this process.
pub(crate) struct Operator {
    writer: PartyName,
    instance: String,
}

impl Operator {
    /// In this life.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            writer: PartyName::new("operator").map_err(|error| Failure::internal(&error))?,
            instance: social::new_instance(),
        })
    }

    /// Signs for a party.
    pub(crate) fn signs<'a>(&'a self, key: &'a SigningKey, party: &'a PartyName) -> Signatory<'a> {
        Signatory {
            key,
            instance: &self.instance,
            party,
            writer: &self.writer,
        }
    }
}

/// Who it is, as they said or as the system knows; `does` is what they do, for the advice where neither is so.
pub(crate) fn actor(said: Option<String>, does: &str) -> Result<String, Failure> {
    let unknown = || {
        let what = format!("the login name is not known here: say with --actor who {does}");
        Failure::usage(what)
    };
    said.or_else(login).ok_or_else(unknown)
}

/// The name that this process's user has in the system, and not what a variable says.
fn login() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??;
    Some(user.name)
}
