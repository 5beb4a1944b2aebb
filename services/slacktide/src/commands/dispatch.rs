//! Runs the command of the command line.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use clap::CommandFactory;
use runtime::exit::Exit;

use super::{
    approvals, audit, blocklist, commercial, config, exchange, feed, front, gate, gateway, health, hold,
    keys, masking, orders, party, quarantine, reconcile, request, social, status, store,
};
use crate::cli::{AgentCommand, Cli, Command, ConfigCommand, ExchangeCommand, FrontCommand, GatewayCommand};
use crate::failure::{Failure, Outcome};
use crate::{demo, doctor, output};

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Outcome {
    if let Command::Social(AgentCommand::Run(at)) = &command {
        // Before the runtime starts threads, which inherit the priority. Before dumps are forbidden, because the kernel
        // then denies the process its own files in /proc.
        social::lower_priority(&at.config);
    }
    if let Err(error) = runtime::secrecy::forbid_dumps() {
        tracing::warn!(%error, "core dumps of this process could not be disabled");
    }
    match command {
        Command::Social(AgentCommand::Run(at)) => block_on(social::run(at.config)),
        Command::Social(AgentCommand::Check(at)) => social::check(&at.config),
        Command::Commercial(AgentCommand::Run(at)) => block_on(commercial::run(at.config)),
        Command::Commercial(AgentCommand::Check(at)) => commercial::check(&at.config),
        Command::Exchange(ExchangeCommand::Apply {
            config,
            dir,
            recipient,
            yes,
            force,
            wait,
            dry_run,
            json,
        }) => {
            let options = exchange::ApplyOptions {
                dir,
                recipients: recipient,
                yes,
                force,
                wait: wait.get(),
                dry_run,
                json,
            };
            block_on(exchange::apply(config.config, options))
        }
        Command::Exchange(ExchangeCommand::Status { config, json }) => {
            block_on(exchange::status(config.config, json))
        }
        Command::Exchange(ExchangeCommand::Party(command)) => party::run(command),
        Command::Config(ConfigCommand::Check(at)) => config::check(&at.config),
        Command::Config(ConfigCommand::Show { config, json }) => config::show(&config.config, json),
        Command::Keys(command) => keys::run(command),
        Command::Doctor {
            config,
            offline,
            json,
        } => block_on(doctor::run(config.config, offline, json)),
        Command::Status(args) => block_on(status::run(args)),
        Command::Feed(command) => block_on(feed::run(command)),
        Command::Reconcile(command) => block_on(reconcile::run(command)),
        Command::Hold(command) => block_on(hold::run(command)),
        Command::Orders(command) => block_on(orders::run(command)),
        Command::Health(at) => block_on(health::run(at.config)),
        Command::Quarantine(command) => block_on(quarantine::run(command)),
        Command::Request(command) => block_on(request::run(command)),
        Command::Store(command) => block_on(store::run(command)),
        Command::Approvals(command) => block_on(approvals::run(command)),
        Command::Blocklist(command) => block_on(blocklist::run(command)),
        Command::Masking(command) => block_on(masking::run(command)),
        Command::Gate(command) => block_on(gate::run(command)),
        Command::Gateway(GatewayCommand::Run(at)) => block_on(gateway::run(at.config)),
        Command::Gateway(command) => gateway::manage(command),
        Command::Front(FrontCommand::Run(at)) => block_on(front::run(at.config)),
        Command::Front(command) => front::check(&command),
        Command::Audit(command) => block_on(audit::run(command)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "slacktide", &mut script);
            output::exact(&String::from_utf8_lossy(&script));
            Ok(Exit::Done)
        }
        Command::Demo(args) => block_on(demo::run(args)),
        Command::DemoLoad(args) => demo::load::run(&args),
    }
}

/// Keep-alive of threads for blocking work. One is created at the start: if the system refuses further threads, for lack of
/// memory or by a limit, work waits for this one. Without any thread, tokio panics.
const THREAD_KEEP_ALIVE: Duration = Duration::from_hours(24 * 365);

/// Runs the work to its end; blocking tasks get one more second.
fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(THREAD_KEEP_ALIVE)
        .build()
        .map_err(|error| Failure::internal(&error))?;
    runtime::stall::watch(runtime.handle()).map_err(|error| Failure::internal(&error))?;
    drop(runtime.spawn_blocking(|| ()));
    // A panic of this thread gets the same exit code as that of any other thread.
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    let outcome = outcome.unwrap_or_else(|_| {
        let what = "a part of the program failed; restart it and report this";
        Err(Failure::new(Exit::Internal, what))
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}
