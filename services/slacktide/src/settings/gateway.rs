//! The gateway's file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway::{ConsoleRole, GatewayConfig, Limits, PartyIdentity, Role, TlsFiles};
use runtime::config::Secret;
use runtime::health::HealthConfig;
use runtime::span::Span;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};
use traces::TelemetryConfig;

use super::exchange::{TlsTable, reload};
use super::file::Validate;
use super::telemetry;
use super::violation::ConfigViolation;
use crate::failure::Failure;
use crate::front::environment;
use crate::front::server::ServerCommand;

/// The configuration of `slacktide gateway`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayFile {
    /// Where and how it listens.
    pub(crate) gateway: GatewayTable,
    /// The exchange.
    pub(crate) exchange: GatewayExchange,
    /// The nats-server that `slacktide front run` starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerTable>,
    /// The parties that it serves.
    #[serde(rename = "party", default)]
    pub(crate) parties: Vec<PartyTable>,
    /// The status page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<HealthConfig>,
    /// Traces; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telemetry: Option<TelemetryConfig>,
}

/// The `[gateway]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayTable {
    /// The address. Without TLS it must be a loopback address.
    pub(crate) listen: SocketAddr,
    /// The file of bearer tokens; without it none is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<PathBuf>,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<GatewayTls>,
    /// Whether the console is served under `/console`.
    #[serde(default)]
    pub(crate) console: bool,
    /// The signing keys of each party, with which the console verifies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) trust: BTreeMap<PartyName, Vec<PublicKey>>,
    /// The limits.
    #[serde(default)]
    pub(crate) limits: LimitsTable,
}

/// The `[gateway.tls]` table: PEM files, read again when they change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayTls {
    /// The gateway's certificate, followed by intermediate ones.
    pub(crate) cert: PathBuf,
    /// Its private key, in a file that only its owner reads.
    pub(crate) key: PathBuf,
    /// The authorities of client certificates; without it only tokens are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca: Option<PathBuf>,
}

/// The `[gateway.limits]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsTable {
    /// Messages or chunks in one response.
    pub(crate) max_messages: usize,
    /// Concurrent connections.
    pub(crate) connections: usize,
    /// Concurrent requests of all parties.
    pub(crate) requests: usize,
    /// Concurrent requests of one party.
    pub(crate) party_requests: usize,
    /// Requests per second of each party.
    pub(crate) requests_per_second: u32,
    /// Requests that a party may send at once after a pause.
    pub(crate) burst: u32,
    /// Longest wait for a chunk.
    pub(crate) max_wait: Span,
    /// Time for one request, without such a wait.
    pub(crate) request_time: Span,
    /// Time for requests in flight at a stop.
    pub(crate) shutdown: Span,
}

impl Default for LimitsTable {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            max_messages: limits.max_messages,
            connections: limits.connections,
            requests: limits.requests,
            party_requests: limits.party_requests,
            requests_per_second: limits.requests_per_second,
            burst: limits.burst,
            max_wait: Span::from_secs(limits.max_wait.as_secs()),
            request_time: Span::from_secs(limits.request_time.as_secs()),
            shutdown: Span::from_secs(limits.shutdown.as_secs()),
        }
    }
}

/// The `[server]` table: the exchange's nats-server on the same machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerTable {
    /// The program, with its folder or on the PATH.
    #[serde(default = "default_program")]
    pub(crate) program: PathBuf,
    /// Its configuration file.
    pub(crate) config: PathBuf,
    /// `NAME='value'` lines with the variables that the configuration uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<PathBuf>,
}

fn default_program() -> PathBuf {
    PathBuf::from("nats-server")
}

impl ServerTable {
    /// Returns how the server is started, with paths relative to `folder`.
    pub(crate) fn command(&self, folder: &Path) -> Result<ServerCommand, Failure> {
        let config = folder.join(&self.config);
        if !config.is_file() {
            return Err(Failure::usage(format!(
                "server.config: there is no file {}; `slacktide keys site` and nats/ have one",
                config.display()
            )));
        }
        let variables = match &self.environment {
            None => Vec::new(),
            // Refuses a file that others can read: it may hold the key of the streams.
            Some(path) => {
                let text = Secret::File(path.clone()).read(folder)?;
                environment::parse(text.expose()).map_err(|error| {
                    Failure::usage(format!(
                        "server.environment: {}: {error}",
                        folder.join(path).display()
                    ))
                })?
            }
        };
        // A name without a folder is searched on the PATH.
        let has_folder = self.program.components().count() > 1;
        let program = if has_folder {
            folder.join(&self.program)
        } else {
            self.program.clone()
        };
        Ok(ServerCommand {
            program,
            config,
            variables,
        })
    }
}

/// The `[exchange]` table of a gateway: the parties have the credentials.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayExchange {
    /// `nats://host:port`; several, separated by commas, for a cluster.
    pub(crate) url: String,
    /// Mutual TLS; `None`: the URL scheme and the exchange decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
}

/// A `[[party]]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartyTable {
    /// Its name, as in the subjects.
    pub(crate) name: PartyName,
    /// What it is at the exchange.
    pub(crate) role: Role,
    /// The user in the exchange's account file; default: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// The seed of the party's connection key, `SU…`.
    pub(crate) seed: Secret,
    /// Its client certificate at the exchange, if the exchange asks for one for each user; default: `[exchange.tls]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsTable>,
    /// How its client certificates at the gateway are recognised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) certificates: Vec<String>,
    /// What a person with one of these certificates may do in the console; left out: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) console: Option<ConsoleRole>,
}

impl GatewayFile {
    /// Returns the settings of the server, with paths relative to `folder`.
    pub(crate) fn config(&self, folder: &Path) -> Result<GatewayConfig, Failure> {
        let limits = &self.gateway.limits;
        let tls = self.gateway.tls.as_ref().map(|tls| {
            // Refuses a private key that others can read.
            Secret::File(tls.key.clone()).read(folder)?;
            Ok::<_, Failure>(TlsFiles {
                certificate: folder.join(&tls.cert),
                key: folder.join(&tls.key),
                client_ca: tls.client_ca.as_ref().map(|path| folder.join(path)),
            })
        });
        Ok(GatewayConfig {
            listen: self.gateway.listen,
            tls: tls.transpose()?,
            limits: Limits {
                max_messages: limits.max_messages,
                connections: limits.connections,
                requests: limits.requests,
                party_requests: limits.party_requests,
                requests_per_second: limits.requests_per_second,
                burst: limits.burst,
                max_wait: limits.max_wait.get(),
                request_time: limits.request_time.get(),
                shutdown: limits.shutdown.get(),
                ..Limits::default()
            },
        })
    }

    /// Returns the options of each party's connection, which waits for the exchange.
    pub(crate) fn options(&self, folder: &Path) -> Result<Vec<(PartyTable, nats::Options)>, Failure> {
        let connection = |party: &PartyTable| {
            let user = party.user.as_deref().unwrap_or(party.name.as_str());
            let seed = party.seed.read(folder)?;
            let tls = party.tls.as_ref().or(self.exchange.tls.as_ref());
            let tls = tls.map(|tls| tls.for_nats(folder)).transpose()?;
            let options = nats::Options::agent(&self.exchange.url, user, seed.expose()).over(tls);
            Ok((party.clone(), options.reading_seed(reload(&party.seed, folder))))
        };
        self.parties.iter().map(connection).collect()
    }

    /// Returns how client certificates are recognised.
    pub(crate) fn identities(&self) -> Vec<PartyIdentity> {
        let parties = self.parties.iter().filter(|party| !party.certificates.is_empty());
        let identity = |party: &PartyTable| {
            let mut identity = PartyIdentity {
                party: party.name.clone(),
                spki_sha256: Vec::new(),
                dns_names: Vec::new(),
                uris: Vec::new(),
            };
            for text in &party.certificates {
                match parse_certificate(text) {
                    Some(Certificate::Spki(digest)) => identity.spki_sha256.push(digest),
                    Some(Certificate::Dns(name)) => identity.dns_names.push(name),
                    Some(Certificate::Uri(uri)) => identity.uris.push(uri),
                    // Refused by the rules.
                    None => {}
                }
            }
            identity
        };
        parties.map(identity).collect()
    }

    /// Returns the role of each party.
    pub(crate) fn roles(&self) -> BTreeMap<PartyName, Role> {
        let parties = self.parties.iter();
        parties.map(|party| (party.name.clone(), party.role)).collect()
    }
}

fn url_violation(url: &str) -> Option<ConfigViolation> {
    let schemes = ["nats://", "tls://"];
    let is_address = |url: &str| schemes.iter().any(|scheme| url.trim().starts_with(scheme));
    (!url.split(',').all(is_address)).then(|| {
        ConfigViolation::new(
            "exchange.url",
            "is not an address of an exchange",
            "write \"nats://host:port\", several separated by commas",
        )
    })
}

/// One way to recognise a client certificate.
enum Certificate {
    Spki(String),
    Dns(String),
    Uri(String),
}

fn parse_certificate(text: &str) -> Option<Certificate> {
    if let Some(digest) = text.strip_prefix("spki:sha256:") {
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        return is_digest.then(|| Certificate::Spki(digest.to_ascii_lowercase()));
    }
    let name = |rest: &str| (!rest.is_empty() && !rest.contains('*')).then(|| rest.to_owned());
    if let Some(rest) = text.strip_prefix("san:dns:") {
        return name(rest).map(Certificate::Dns);
    }
    text.strip_prefix("san:uri:").and_then(name).map(Certificate::Uri)
}

impl Validate for GatewayFile {
    fn violations(&self) -> Vec<ConfigViolation> {
        let mut violations: Vec<ConfigViolation> = url_violation(&self.exchange.url).into_iter().collect();
        let table = &self.gateway;
        let has_client_ca = table.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if table.tls.is_none() && !table.listen.ip().is_loopback() {
            violations.push(ConfigViolation::new(
                "gateway.listen",
                format!(
                    "is {}, and there is no TLS: tokens and rows would cross the network in clear text",
                    table.listen
                ),
                "add [gateway.tls] with cert and key, or listen on 127.0.0.1 behind a proxy that does TLS",
            ));
        }
        if table.tokens.is_none() && !has_client_ca {
            violations.push(ConfigViolation::new(
                "gateway.tokens",
                "is missing, and so is gateway.tls.client_ca: no one could authenticate",
                "name a file for `slacktide gateway token new`, or the authorities of client certificates",
            ));
        }
        let of_parties = self.parties.iter().filter_map(|party| party.tls.as_ref());
        let tls: Vec<&TlsTable> = self.exchange.tls.iter().chain(of_parties).collect();
        if tls.iter().any(|tls| tls.ca.is_none()) {
            violations.push(ConfigViolation::new(
                "exchange.tls.ca",
                "is missing",
                "name the file of the authority that signed the exchange's certificate",
            ));
        }
        if tls.iter().any(|tls| tls.cert.is_some() != tls.key.is_some()) {
            violations.push(ConfigViolation::new(
                "exchange.tls",
                "has a certificate without a key, or the reverse",
                "give both cert and key, or neither",
            ));
        }
        violations.extend(self.party_violations(has_client_ca));
        violations.extend(table.limits.violations());
        violations.extend(telemetry::violations(self.telemetry.as_ref()));
        violations
    }
}

impl GatewayFile {
    fn party_violations(&self, has_client_ca: bool) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        if self.parties.is_empty() {
            violations.push(ConfigViolation::new(
                "party",
                "is missing, so the gateway would serve no one",
                "add a [[party]] with name, role and seed for each party",
            ));
        }
        for (index, party) in self.parties.iter().enumerate() {
            let name = &party.name;
            if self.parties.iter().take(index).any(|other| other.name == *name) {
                violations.push(ConfigViolation::new(
                    "party.name",
                    format!("{:?} is given twice", name.as_str()),
                    "give each party one table",
                ));
            }
            let user = party.user.as_deref().unwrap_or(name.as_str());
            if PartyName::new(user).is_err() {
                violations.push(ConfigViolation::new(
                    "party.user",
                    format!("is {user:?}"),
                    "use the user's name in the exchange's account file: a-z, 0-9, '_' and '-', a letter first",
                ));
            }
            for text in &party.certificates {
                if parse_certificate(text).is_none() {
                    violations.push(ConfigViolation::new(
                        "party.certificates",
                        format!("of {name} has {text:?}"),
                        "write \"spki:sha256:\" and 64 hex digits, \"san:dns:NAME\" or \"san:uri:URI\", without wildcards",
                    ));
                }
            }
            if party.console.is_some() && (party.certificates.is_empty() || !self.gateway.console) {
                violations.push(ConfigViolation::new(
                    "party.console",
                    format!("of {name} has no effect: it is the role of the party's client certificates in the console"),
                    "give the party certificates and set gateway.console = true, or remove it; for tokens use `slacktide gateway token new --console`",
                ));
            }
            if !party.certificates.is_empty() && !has_client_ca {
                violations.push(ConfigViolation::new(
                    "party.certificates",
                    format!("of {name} are never asked for, because gateway.tls.client_ca is missing"),
                    "name the authorities of client certificates, or remove the list",
                ));
            }
        }
        violations
    }
}

impl LimitsTable {
    fn violations(&self) -> Vec<ConfigViolation> {
        let counts = [
            ("gateway.limits.max_messages", self.max_messages, 10_000),
            ("gateway.limits.connections", self.connections, 100_000),
            ("gateway.limits.requests", self.requests, 10_000),
            ("gateway.limits.party_requests", self.party_requests, 10_000),
            (
                "gateway.limits.requests_per_second",
                self.requests_per_second as usize,
                1_000_000,
            ),
            ("gateway.limits.burst", self.burst as usize, 1_000_000),
        ];
        let outside = |(key, given, max): (&str, usize, usize)| {
            (!(1..=max).contains(&given))
                .then(|| ConfigViolation::new(key, format!("is {given}"), format!("give 1 to {max}")))
        };
        let spans = [
            ("gateway.limits.max_wait", self.max_wait, 300),
            ("gateway.limits.request_time", self.request_time, 3_600),
            ("gateway.limits.shutdown", self.shutdown, 300),
        ];
        let too_long = |(key, given, max): (&str, Span, u64)| {
            let seconds = given.get().as_secs();
            (!(1..=max).contains(&seconds))
                .then(|| ConfigViolation::new(key, format!("is {given}"), format!("give 1s to {max}s")))
        };
        counts
            .into_iter()
            .filter_map(outside)
            .chain(spans.into_iter().filter_map(too_long))
            .collect()
    }
}

#[cfg(test)]
mod tests;
