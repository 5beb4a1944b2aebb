//! The demo's folder: keys, and configuration files as a user would write them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use runtime::exit::Exit;

use super::data::tables::TABLES;
use crate::commands::{Public, write_keys};
use crate::failure::Failure;

/// The parties.
pub(crate) const PARTIES: [&str; 4] = ["bureau", "insurer-a", "auditor", "admin"];

/// The folder, removed at the end unless it is kept.
pub(crate) struct SiteFiles {
    temporary: Option<tempfile::TempDir>,
    path: PathBuf,
    /// The public keys of all parties.
    pub(crate) keys: BTreeMap<&'static str, Public>,
}

impl SiteFiles {
    /// Creates the folder and the keys.
    pub(crate) fn new(dir: Option<&Path>) -> Result<Self, Failure> {
        let failed = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::usage(format!(
                "{}: {error}; give --dir a writable folder",
                path.display()
            ))
        };
        let (temporary, path) = match dir {
            Some(dir) => {
                std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
                let path = dir.canonicalize().map_err(|error| failed(dir, &error))?;
                let mut inside = std::fs::read_dir(&path).map_err(|error| failed(dir, &error))?;
                if inside.next().is_some() {
                    return Err(failed(dir, &"it is not empty"));
                }
                (None, path)
            }
            None => {
                let made = tempfile::Builder::new().prefix("slacktide-demo-").tempdir();
                let made = made.map_err(|error| failed(&std::env::temp_dir(), &error))?;
                let path = made.path().to_owned();
                (Some(made), path)
            }
        };
        for folder in ["keys", "log"] {
            std::fs::create_dir_all(path.join(folder)).map_err(|error| failed(&path, &error))?;
        }
        let mut keys = BTreeMap::new();
        for party in PARTIES {
            keys.insert(party, write_keys(&path.join("keys").join(party))?);
        }
        Ok(Self {
            temporary,
            path,
            keys,
        })
    }

    /// Returns the path of a file or folder in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the folder's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the folder at the end.
    pub(crate) fn keep(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = temporary.keep();
        }
    }

    /// Writes the configuration files.
    pub(crate) fn write_files(&self, url: &str) -> Result<(), Failure> {
        let sign = |party: &str| {
            self.keys
                .get(party)
                .map_or("", |keys| keys.sign.as_str())
                .to_owned()
        };
        let (bureau, insurer) = (sign("bureau"), sign("insurer-a"));
        self.write("social.toml", &social(url, &insurer))?;
        for number in [1, 2] {
            self.write(
                &format!("commercial-{number}.toml"),
                &commercial(url, &bureau, number),
            )?;
        }
        // The agents write audit entries, too: the bureau's, for example, why a lane is not verified yet.
        let trust = format!(
            "\n[trust]\nchunks = [\"{bureau}\"]\nreceipts = [\"{insurer}\"]\nentries = [\"{bureau}\", \"{insurer}\"]\n"
        );
        self.write("auditor.toml", &(party(url, "auditor") + &trust))?;
        self.write("admin.toml", &party(url, "admin"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.file(name);
        std::fs::write(&path, text)
            .map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", path.display())))
    }
}

fn party(url: &str, user: &str) -> String {
    format!(
        "[exchange]\nurl = \"{url}\"\nuser = \"{user}\"\nseed = {{ file = \"keys/{user}/connect.seed\" }}\n"
    )
}

fn social(url: &str, insurer: &str) -> String {
    let mut text = format!(
        "[social]\nname = \"bureau\"\nsource = \"core\"\n\n{}\n[signing]\nseed = {{ file = \"keys/bureau/sign.seed\" }}\n\n\
         [trust.receipts]\ninsurer-a = [\"{insurer}\"]\n\n[source]\nkind = \"sqlite\"\npath = \"core.db\"\n\n\
         [gate]\ninterval = \"200ms\"\nhold = \"1500ms\"\n# All of it runs on one host here: what these use is not the business's.\n\
         own = [\"slacktide social\", \"slacktide commercial\", \"nats-server\"]\n\n[gate.signals.host_cpu]\nstop = 70.0\nresume = 50.0\n\n\
         [health]\nlisten = \"127.0.0.1:0\"\naddr_file = \"social.addr\"\n",
        party(url, "bureau")
    );
    for table in &TABLES {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n[[feed]]  # {}\nname = \"{}\"\nsql = \"SELECT {} FROM {}\"\ncursor = [\"updt_time\", \"rid\"]\n\
             cursor_set_by = \"application\"\nlag = \"1s\"\nkey = {:?}\nmoney = {:?}\nrecipients = [\"insurer-a\"]\n",
            table.title,
            table.name,
            table.all_columns().join(", "),
            table.name,
            table.key,
            table.money
        );
    }
    text
}

fn commercial(url: &str, bureau: &str, number: u32) -> String {
    format!(
        "[commercial]\nrecipient = \"insurer-a\"\n\n{}\n[signing]\nseed = {{ file = \"keys/insurer-a/sign.seed\" }}\n\n\
         [trust]\nchunks = [\"{bureau}\"]\n\n[store]\nkind = \"sqlite\"\npath = \"store.db\"\n\n[poll]\ninterval = \"1s\"\n\n\
         [health]\nlisten = \"127.0.0.1:0\"\naddr_file = \"commercial-{number}.addr\"\n",
        party(url, "insurer-a")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{CommercialFile, PartyFile, SocialFile, load};

    #[test]
    fn configuration_files_are_valid() -> Result<(), Failure> {
        let site_files = SiteFiles::new(None)?;
        site_files.write_files("nats://127.0.0.1:4222")?;
        let social = load::<SocialFile>(&site_files.file("social.toml"))?;
        assert_eq!(social.value.feeds.len(), TABLES.len());
        load::<CommercialFile>(&site_files.file("commercial-2.toml"))?;
        let trust = load::<PartyFile>(&site_files.file("auditor.toml"))?.value.trust;
        assert_eq!(
            trust.entries,
            [trust.chunks, trust.receipts].concat(),
            "both parties write entries"
        );
        load::<PartyFile>(&site_files.file("admin.toml"))?;
        Ok(())
    }
}
