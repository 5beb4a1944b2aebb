//! The acting operator, and the operators' audit chain.

use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::control::Control;
use schemas::name::PartyName;
use schemas::sign::{PublicKey, SigningKey};
use social::control_head;
use social::epoch::AuditSigner;

use crate::cli::decision::Decision;
use crate::exchange_client::ExchangeClient;
use crate::failure::Failure;
use crate::output;
use crate::settings::SocialFile;

/// The operators' audit chain, for this process.
pub(crate) struct Operator {
    writer: PartyName,
    instance: String,
}

impl Operator {
    /// Creates it for this process.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            writer: PartyName::new("operator").map_err(|error| Failure::internal(&error))?,
            instance: social::new_instance(),
        })
    }

    /// Returns the signer of a party that also trusts these keys.
    pub(crate) fn signer<'a>(
        &'a self,
        key: &'a SigningKey,
        trusted: &'a [PublicKey],
        party: &'a PartyName,
    ) -> AuditSigner<'a> {
        AuditSigner {
            key,
            trusted,
            instance: &self.instance,
            party,
            writer: &self.writer,
        }
    }
}

/// Reads the record of the bureau's orders in force, or `None` if there never was one.
pub(crate) async fn orders_in_force(
    loaded: &Loaded<SocialFile>,
    key: &SigningKey,
) -> Result<Option<Control>, Failure> {
    let file = &loaded.value;
    let mut trusted = file.trust.operators.clone();
    trusted.push(key.public().clone());
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let head = control_head::read(&exchange, &file.social.name, &trusted).await;
    exchange::Exchange::close(&exchange).await;
    let head = head?;
    let problem = head.unreadable_message();
    if let (false, Some(why)) = (head.is_known(), &problem) {
        return Err(Failure::new(Exit::Evidence, why.clone()));
    }
    if let Some(why) = problem {
        output::note(&format!("warning: {why}"));
    }
    Ok(head.record.map(|(record, _)| record))
}

/// Returns the given name or the login name; `role` is for the error if there is neither.
pub(crate) fn actor(given: Option<String>, role: &str) -> Result<String, Failure> {
    let unknown = || {
        let what =
            format!("the login name is not known: give --actor with the name of the person who {role}");
        Failure::usage(what)
    };
    given.or_else(login).ok_or_else(unknown)
}

impl Decision {
    /// Returns the deciding operator's name.
    ///
    /// # Errors
    /// A usage error if it is not given and the login name is not known.
    pub(crate) fn actor(&self) -> Result<String, Failure> {
        actor(self.actor.clone(), "decides")
    }
}

/// Returns the name of this process's user from the user database, not from a variable.
fn login() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??;
    Some(user.name)
}
