//! `slacktide gateway run|check`, tokens and profiles.

mod console;
mod machine;
mod profile;
pub(super) mod token;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::gateway::{Parts, PartyAccess, StartError, TokenRegistry, serve};
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::health::Report;
use runtime::stop::Stop;
use runtime::supervise::Supervisor;

use super::agent;
use crate::cli::{GatewayCommand, ProfileCommand};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{GatewayFile, load};
use crate::telemetry;
use machine::GatewayMachine;

/// Runs the gateway until a stop signal.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    // First, because a stop signal may arrive at any time.
    let stop = agent::stop_on_signals()?;
    let supervisor = agent::supervise(&stop)?;
    let loaded: Loaded<GatewayFile> = load(&path)?;
    if loaded.value.server.is_some() {
        return Err(Failure::usage(format!(
            "{}: has a [server] table, which a gateway alone does not start; use `slacktide front run`",
            path.display()
        )));
    }
    serve_parties(&loaded, &stop, &supervisor, |report| report).await
}

/// Connects each party and serves it until a stop. `with_report` makes the report of the process from the gateway's.
pub(super) async fn serve_parties(
    loaded: &Loaded<GatewayFile>,
    stop: &Stop,
    supervisor: &Supervisor,
    with_report: impl FnOnce(Arc<dyn Report>) -> Arc<dyn Report>,
) -> Outcome {
    let (file, folder) = (&loaded.value, loaded.folder());
    // Every file is read before a socket is opened.
    let config = file.config(folder)?;
    let options = file.options(folder)?;
    let tokens = registry(loaded)?;
    let exporting = telemetry::start(file.telemetry.as_ref(), "slacktide-gateway")?;
    let notifier = agent::notify_manager(stop);
    let mut parties = Vec::new();
    for (party, options) in options {
        let exchange = tokio::select! {
            exchange = JetStream::connect(options) => exchange?,
            () = stop.token().cancelled() => {
                close(&parties).await;
                notifier.finish().await;
                return Ok(Exit::Done);
            }
        };
        parties.push(PartyAccess {
            name: party.name,
            role: party.role,
            exchange: Arc::new(exchange),
        });
    }
    let machine = Arc::new(GatewayMachine::new(loaded)?);
    let parts = Parts {
        config,
        parties: parties.clone(),
        identities: file.identities(),
        mounted: console::mount(file, &parties, &tokens, machine.clone(), stop.token())?,
        tokens,
    };
    let serving = serve(parts, stop.token().clone()).await.map_err(start_failed)?;
    let report = with_report(Arc::clone(&serving.report));
    machine.set_report(Arc::clone(&report));
    agent::serve(loaded, file.health.as_ref(), report).await?;
    let running = async { serving.task.await.map_err(|error| Failure::internal(&error)) };
    let outcome = agent::until_stopped(stop, supervisor, running, |failure| failure).await;
    close(&parties).await;
    telemetry::finish(exporting).await;
    notifier.finish().await;
    outcome
}

/// Runs the commands that open no connection.
pub(crate) fn manage(command: GatewayCommand) -> Outcome {
    match command {
        GatewayCommand::Run(at) | GatewayCommand::Check(at) => check(&at.config),
        GatewayCommand::Token(command) => token::run(command),
        GatewayCommand::Profile(ProfileCommand::New(args)) => profile::create(&args),
    }
}

/// Checks the file, its keys and its tokens.
fn check(path: &Path) -> Outcome {
    let loaded: Loaded<GatewayFile> = load(path)?;
    check_files(&loaded)?;
    let file = &loaded.value;
    output::line(&format!(
        "{}: ready, serves {} parties on {}",
        path.display(),
        file.parties.len(),
        file.gateway.listen
    ));
    Ok(Exit::Done)
}

/// Reads every file that the configuration names.
pub(super) fn check_files(loaded: &Loaded<GatewayFile>) -> Result<(), Failure> {
    let (file, folder) = (&loaded.value, loaded.folder());
    file.config(folder)?;
    file.options(folder)?;
    registry(loaded)?;
    Ok(())
}

/// Reads the tokens. Each is bound to the role in which its party is served.
fn registry(loaded: &Loaded<GatewayFile>) -> Result<Arc<TokenRegistry>, Failure> {
    let Some(path) = &loaded.value.gateway.tokens else {
        return Ok(Arc::default());
    };
    let registry = TokenRegistry::read(&loaded.resolve(path)).map_err(token::failed)?;
    Ok(Arc::new(registry.for_roles(loaded.value.roles())))
}

async fn close(parties: &[PartyAccess]) {
    for party in parties {
        party.exchange.close().await;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn start_failed(error: StartError) -> Failure {
    let is_transient = match &error {
        StartError::Bind(_, error) => matches!(
            error.kind(),
            std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable
        ),
        _ => false,
    };
    // The previous process may still run: the service manager retries.
    let exit = if is_transient { Exit::InUse } else { Exit::Usage };
    Failure::new(exit, error.to_string())
}
