//! Who acts: a person by name, and the chain of the party's operators that keeps it for ever.

use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::control::Control;
use schemas::name::PartyName;
use schemas::sign::{PublicKey, SigningKey};
use social::control_head;
use social::epoch::Signatory;

use crate::failure::Failure;
use crate::output;
use crate::settings::SocialFile;

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

    /// Signs for a party whose operators have these keys, too.
    pub(crate) fn signs<'a>(
        &'a self,
        key: &'a SigningKey,
        trusted: &'a [PublicKey],
        party: &'a PartyName,
    ) -> Signatory<'a> {
        Signatory {
            key,
            trusted,
            instance: &self.instance,
            party,
            writer: &self.writer,
        }
    }
}

/// Reads the record of the bureau's orders in force, or `None` where there never was one.
pub(crate) async fn orders_in_force(
    loaded: &Loaded<SocialFile>,
    key: &SigningKey,
) -> Result<Option<Control>, Failure> {
    let file = &loaded.value;
    let mut trusted = file.trust.operators.clone();
    trusted.push(key.public().clone());
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let head = control_head::read(&exchange, &file.social.name, &trusted).await;
    exchange::Exchange::close(&exchange).await;
    let head = head?;
    let trouble = head.trouble();
    if let (false, Some(why)) = (head.is_known(), &trouble) {
        return Err(Failure::new(Exit::Evidence, why.clone()));
    }
    if let Some(why) = trouble {
        output::note(&format!("warning: {why}"));
    }
    Ok(head.record.map(|(record, _)| record))
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
