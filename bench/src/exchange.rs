//! A private exchange with the shipped accounts and keys for its users.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::NatsServer;
use nats::topology::{self, Admin};
use nats::{JetStream, Options};
use nkeys::KeyPair;
use schemas::name::RecipientName;
use schemas::sign::SigningKey;

use crate::Outcome;

/// A running exchange; it ends with this value.
pub(crate) struct Exchange {
    /// The server.
    pub(crate) server: NatsServer,
    /// The chunk signing key; its seed is in `bureau.sign`.
    pub(crate) chunk_key: SigningKey,
    /// The receipt signing key of every recipient; its seed is in `<recipient>.sign`.
    pub(crate) receipt_key: SigningKey,
}

impl Exchange {
    /// Starts the server and applies the shipped streams and consumers. Writes the seeds of all users into the folder,
    /// each as `<user>.seed`.
    ///
    /// # Errors
    /// If the server refuses a request. A server that does not start panics with its log.
    pub(crate) async fn start(folder: &Path, recipients: &[&str]) -> Outcome<Self> {
        let names: Vec<RecipientName> = recipients
            .iter()
            .map(|name| RecipientName::new(*name))
            .collect::<Result<_, _>>()?;
        let users = ["admin", "bureau", "auditor"]
            .into_iter()
            .chain(recipients.iter().copied());
        let pairs: BTreeMap<&str, KeyPair> = users.map(|user| (user, KeyPair::new_user())).collect();
        for (user, pair) in &pairs {
            secret(&folder.join(format!("{user}.seed")), &pair.seed()?)?;
        }
        let (chunk_key, receipt_key) = (SigningKey::generate(), SigningKey::generate());
        secret(&folder.join("bureau.sign"), &chunk_key.seed()?)?;
        for recipient in recipients {
            secret(&folder.join(format!("{recipient}.sign")), &receipt_key.seed()?)?;
        }
        let server = serve(folder, &pairs, &names).await?;
        let admin = pairs.get("admin").ok_or("no administrator key")?.seed()?;
        let admin = JetStream::connect(Options::command(server.url(), "admin", admin)).await?;
        let admin = Admin::new(admin);
        let plan = topology::plan(&admin, &topology::embedded(&names)?).await?;
        topology::apply(&admin, &plan, false).await?;
        Ok(Self {
            server,
            chunk_key,
            receipt_key,
        })
    }
}

async fn serve(
    folder: &Path,
    pairs: &BTreeMap<&str, KeyPair>,
    recipients: &[RecipientName],
) -> Outcome<NatsServer> {
    let public: Vec<(&str, String)> = pairs
        .iter()
        .map(|(user, pair)| (*user, pair.public_key()))
        .collect();
    let public: Vec<(&str, &str)> = public.iter().map(|(user, key)| (*user, key.as_str())).collect();
    let env = topology::server::environment("127.0.0.1:4222", "127.0.0.1:8222", folder, &public);
    Ok(NatsServer::with_files(folder, topology::server::files(recipients)?, &env).await)
}

fn secret(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}
