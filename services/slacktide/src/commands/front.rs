//! `slacktide front run|check`: exchange and gateway as one front-end machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::health::Report;
use runtime::stop::{SecondSignal, Stop};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{agent, gateway};
use crate::cli::FrontCommand;
use crate::failure::{Failure, Outcome};
use crate::front::report::FrontReport;
use crate::front::server::Server;
use crate::output;
use crate::settings::{GatewayFile, load};

/// Runs server and gateway until a stop signal. A second signal kills the server and ends at once.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    // First, because a stop signal may arrive at any time.
    let at_once = at_once_on_second_signal()?;
    let stop = Stop::on_signals(SecondSignal::Ignored).map_err(|error| Failure::internal(&error))?;
    let supervisor = agent::supervise(&stop)?;
    let loaded: Loaded<GatewayFile> = load(&path)?;
    let Some(table) = &loaded.value.server else {
        // The exchange is elsewhere: this machine has the gateway alone.
        tokio::select! {
            outcome = gateway::serve_parties(&loaded, &stop, &supervisor, |report| report) => return outcome,
            () = at_once.cancelled() => return Ok(Exit::Unfinished),
        }
    };
    let server = Server::new(table.command(loaded.folder())?);
    let state = server.state();
    let with_server = move |gateway: Arc<dyn Report>| -> Arc<dyn Report> {
        Arc::new(FrontReport {
            gateway,
            server: state,
        })
    };
    // The server outlives the gateway, whose requests in flight need it.
    let stop_server = CancellationToken::new();
    let serving = async {
        let outcome = tokio::select! {
            outcome = gateway::serve_parties(&loaded, &stop, &supervisor, with_server) => outcome,
            () = at_once.cancelled() => Ok(Exit::Unfinished),
        };
        stop_server.cancel();
        outcome
    };
    let running = async {
        let ended = server.run(&stop_server, &at_once).await;
        // Without a server the gateway has nothing to serve.
        if ended.is_err() {
            stop.stop();
        }
        ended
    };
    let (served, ran) = tokio::join!(serving, running);
    match (ran?, served?) {
        (Exit::Done, served) => Ok(served),
        (killed, _) => Ok(killed),
    }
}

/// Checks the file, its keys, its tokens and the server's variables. Opens no connection and starts nothing.
pub(crate) fn check(command: &FrontCommand) -> Outcome {
    let (FrontCommand::Run(at) | FrontCommand::Check(at)) = command;
    let path: &Path = &at.config;
    let loaded: Loaded<GatewayFile> = load(path)?;
    gateway::check_files(&loaded)?;
    let server = match &loaded.value.server {
        Some(table) => {
            let command = table.command(loaded.folder())?;
            format!(
                "starts {} with {}",
                command.program.display(),
                command.config.display()
            )
        }
        None => format!("uses the exchange at {}", loaded.value.exchange.url),
    };
    output::line(&format!(
        "{}: ready, {server}, serves {} parties on {}",
        path.display(),
        loaded.value.parties.len(),
        loaded.value.gateway.listen
    ));
    Ok(Exit::Done)
}

/// Returns a token that the second SIGTERM or SIGINT cancels.
fn at_once_on_second_signal() -> Result<CancellationToken, Failure> {
    let internal = |error: std::io::Error| Failure::internal(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
    let at_once = CancellationToken::new();
    let second = at_once.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            next(&mut terminate, &mut interrupt).await;
        }
        second.cancel();
    });
    Ok(at_once)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
