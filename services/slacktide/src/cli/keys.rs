//! Commands that create keys and certificates.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use schemas::name::{PartyName, SiteName};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Create connection, signing and encryption keys (.seed and .pub); refuse to overwrite.
    #[command(
        after_help = "Examples:\n  slacktide keys new --out keys/\n  slacktide keys new --only encryption --out keys/2027/"
    )]
    New {
        /// The folder; created if it does not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Create only this kind, to rotate one key. May be given several times.
        #[arg(long, value_enum, value_name = "KIND")]
        only: Vec<KeyKind>,
        /// Print the public keys as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Create a test site: authority, certificates, keys, and files of the server and the agents.
    #[command(
        after_help = "Example:\n  slacktide keys site --out site --recipient insurer-a --recipient insurer-b"
    )]
    Site(SiteArgs),
    /// Issue one more certificate with the authority of a site that `keys site` created.
    #[command(
        after_help = "Examples:\n  slacktide keys certificate --authority site/authority --name insurer-b --out site/insurer-b\n  slacktide keys certificate --authority site/authority --name exchange --host dmz.example --out site/exchange-2"
    )]
    Certificate(CertificateArgs),
    /// Renew the certificates of a site that `keys site` created; no process has to stop.
    #[command(after_help = "Example:\n  slacktide keys renew --site site")]
    Renew {
        /// The site's folder, which contains the authority's.
        #[arg(long, value_name = "DIR")]
        site: PathBuf,
        /// Validity of the new certificates in days.
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
}

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    /// Connects to the exchange: SU…/U….
    Connect,
    /// Signs: SA…/A….
    Sign,
    /// Decrypts: SX…/X….
    Encryption,
}

/// A site.
#[derive(Debug, Clone, Args)]
pub(crate) struct SiteArgs {
    /// The folder; created if it does not exist. It must not contain a site.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The site's name, which its messages carry; unique for each site.
    #[arg(long, value_name = "NAME", default_value = "test")]
    pub(crate) name: SiteName,
    /// A recipient. May be given several times.
    #[arg(long, value_name = "NAME", default_value = "insurer-a")]
    pub(crate) recipient: Vec<String>,
    /// Where the exchange listens and the parties connect to: host:port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4222")]
    pub(crate) listen: String,
    /// A further name or address of the exchange, for its certificate. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// Validity of the certificates in days.
    #[arg(long, default_value_t = 365)]
    pub(crate) days: u32,
}

/// One more certificate.
#[derive(Debug, Clone, Args)]
pub(crate) struct CertificateArgs {
    /// The folder of the authority: ca.pem and ca.key.
    #[arg(long, value_name = "DIR")]
    pub(crate) authority: PathBuf,
    /// The party that the certificate names.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: PartyName,
    /// A name or address of an exchange: issue a server certificate for it. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// The output folder; created if it does not exist. No file is overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Validity of the certificate in days.
    #[arg(long, default_value_t = 365)]
    pub(crate) days: u32,
}
