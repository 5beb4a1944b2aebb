//! What may be said to `slacktide keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use schemas::name::{PartyName, SiteName};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Writes connect, sign and seal keys (.seed and .pub); refuses to overwrite.
    #[command(
        after_help = "Examples:\n  slacktide keys new --out keys/\n  slacktide keys new --only seal --out keys/2027/"
    )]
    New {
        /// The folder; it is made if it is not there.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only this kind; for a change of one key. May be given several times.
        #[arg(long, value_enum, value_name = "KIND")]
        only: Vec<KeyKind>,
        /// Prints the public halves as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes everything that a test site needs: authority, certificates, keys, server and agents' files.
    #[command(
        after_help = "Example:\n  slacktide keys site --out site --recipient insurer-a --recipient insurer-b"
    )]
    Site(SiteArgs),
    /// Issue one more certificate by the authority of a site that `keys site` made.
    #[command(
        after_help = "Examples:\n  slacktide keys certificate --authority site/authority --name insurer-b --out site/insurer-b\n  slacktide keys certificate --authority site/authority --name exchange --host dmz.example --out site/exchange-2"
    )]
    Certificate(CertificateArgs),
    /// Renews the certificates of a site that `keys site` made; nothing has to be stopped for it.
    #[command(after_help = "Example:\n  slacktide keys renew --site site")]
    Renew {
        /// The site's folder, with the authority's in it.
        #[arg(long, value_name = "DIR")]
        site: PathBuf,
        /// How many days the new ones are valid.
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
    /// Opens what is sealed to it: SX…/X….
    Seal,
}

/// A site.
#[derive(Debug, Clone, Args)]
pub(crate) struct SiteArgs {
    /// The folder; it is made if it is not there, and must hold no site.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The site's name, which its messages carry: another one for each site.
    #[arg(long, value_name = "NAME", default_value = "test")]
    pub(crate) name: SiteName,
    /// For whom. May be given several times.
    #[arg(long, value_name = "NAME", default_value = "insurer-a")]
    pub(crate) recipient: Vec<String>,
    /// Where the exchange listens and the parties connect to: host:port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4222")]
    pub(crate) listen: String,
    /// A further name or address of the exchange, for its certificate. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// How many days the certificates are valid.
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
    /// A name or address of an exchange: the certificate is a server's, for these. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// The folder to write to; it is made if it is not there. Nothing in it is overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How many days the certificate is valid.
    #[arg(long, default_value_t = 365)]
    pub(crate) days: u32,
}
