//! What the gateway reports about itself to the console.
//!
//! - `verify` verifies the streams as `slacktide audit verify` does

mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ::console::site::machine::{CertificateInfo, Machine, TokenInfo, Verification, VerifyRequest};
use ::gateway::ConsoleRole;
use ::gateway::token::file;
use async_trait::async_trait;
use runtime::config::{Loaded, show};
use runtime::health::Report;
use schemas::name::PartyName;
use serde_json::Value;
use verification::heads::KeptHeads;

use crate::doctor::certificates;
use crate::failure::Failure;
use crate::settings::GatewayFile;

/// The running gateway.
pub(super) struct GatewayMachine {
    /// Its file with every secret replaced, as `slacktide config show` prints it.
    configuration: String,
    tokens: Option<PathBuf>,
    certificate: Option<PathBuf>,
    /// Set once the gateway runs.
    report: OnceLock<Arc<dyn Report>>,
    /// The heads of the last sound verification of each party.
    heads: Mutex<BTreeMap<PartyName, KeptHeads>>,
}

impl GatewayMachine {
    /// Creates it from the gateway's file.
    pub(super) fn new(loaded: &Loaded<GatewayFile>) -> Result<Self, Failure> {
        let table = &loaded.value.gateway;
        Ok(Self {
            configuration: show::show(loaded).map_err(|error| Failure::internal(&error))?,
            tokens: table.tokens.as_ref().map(|path| loaded.resolve(path)),
            certificate: table.tls.as_ref().map(|tls| loaded.resolve(&tls.cert)),
            report: OnceLock::new(),
            heads: Mutex::default(),
        })
    }

    /// Sets the gateway's report, once it runs.
    pub(super) fn set_report(&self, report: Arc<dyn Report>) {
        // A second one is the same gateway's.
        let _ = self.report.set(report);
    }
}

#[async_trait]
impl Machine for GatewayMachine {
    fn tokens(&self) -> Result<Vec<TokenInfo>, String> {
        let Some(path) = &self.tokens else {
            return Ok(Vec::new());
        };
        let (_, entries) = file::read(path).map_err(|error| error.to_string())?;
        let info = |entry: ::gateway::TokenEntry| TokenInfo {
            id: entry.id,
            party: entry.party,
            console: entry.console.map(|role| match role {
                ConsoleRole::Viewer => ::console::ConsoleRole::Viewer,
                ConsoleRole::Operator => ::console::ConsoleRole::Operator,
            }),
            expires_at: entry.expires_at,
        };
        Ok(entries.into_iter().map(info).collect())
    }

    fn certificate(&self) -> Result<Option<CertificateInfo>, String> {
        let Some(path) = &self.certificate else {
            return Ok(None);
        };
        let all = certificates::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        // The chain is valid as long as each of its certificates.
        let expires_at = all.iter().map(|certificate| certificate.expires_at).min();
        Ok(expires_at.map(|expires_at| CertificateInfo {
            names: all.into_iter().map(|certificate| certificate.subject).collect(),
            expires_at,
        }))
    }

    fn configuration(&self) -> String {
        self.configuration.clone()
    }

    fn status(&self) -> Value {
        self.report.get().map_or(Value::Null, |report| report.status())
    }

    fn metrics(&self) -> String {
        self.report
            .get()
            .map_or_else(String::new, |report| report.metrics())
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Verification, String> {
        let before = {
            let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            heads.get(&request.party).cloned()
        };
        let (found, heads) = verify::verify(&request, before.as_ref())
            .await
            .map_err(|error| error.to_string())?;
        if found.faults.is_empty() {
            let mut kept = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(request.party, heads);
        }
        Ok(found)
    }
}
