//! The demo's exchange: a private nats-server with the shipped configuration.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nats::topology::{self, Admin};
use runtime::exit::Exit;
use schemas::name::RecipientName;
use tokio::process::Command;

use super::child::{self, Process};
use crate::exchange_client::{ExchangeClient, ExchangeOptions};
use crate::failure::Failure;

/// Returns the nats-server binary: from the environment, the path, or `.tools/bin` here or in a parent folder.
fn binary() -> Result<PathBuf, Failure> {
    if let Some(named) = std::env::var_os("SLACKTIDE_NATS_SERVER").filter(|name| !name.is_empty()) {
        let path = PathBuf::from(named);
        if path.is_file() {
            return Ok(path);
        }
        return Err(missing(&format!(
            "SLACKTIDE_NATS_SERVER names {}, which does not exist",
            path.display()
        )));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("nats-server"));
    let here = std::env::current_dir().unwrap_or_default();
    let tools = here.ancestors().map(|dir| dir.join(".tools/bin/nats-server"));
    on_path
        .chain(tools)
        .find(|path| path.is_file())
        .ok_or_else(|| missing("nats-server is not on the path"))
}

fn missing(what: &str) -> Failure {
    Failure::usage(format!(
        "{what}; run `make tools`, or install nats-server 2.14.4 or later, or set SLACKTIDE_NATS_SERVER"
    ))
}

/// Starts the server on free loopback ports; returns its URL.
pub(crate) async fn start(
    dir: &Path,
    recipient: &RecipientName,
    keys: &[(&str, &str)],
) -> Result<(Process, String), Failure> {
    let server = dir.join("server");
    let ports = dir.join("ports");
    let failed =
        |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", server.display()));
    std::fs::create_dir_all(&ports).map_err(failed)?;
    let files = topology::server::files(std::slice::from_ref(recipient))
        .map_err(|error| Failure::usage(error.to_string()))?;
    for (name, text) in files {
        // The demo's streams hold some megabytes, wherever it runs. What they may hold is more than a small disk has, and the
        // server would refuse them.
        let text = text.replacen("jetstream {", "jetstream {\n  max_file_store: 1TB\n", 1);
        let path = server.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(failed)?;
        std::fs::write(&path, text).map_err(failed)?;
    }
    let mut command = Command::new(binary()?);
    command
        .arg("--config")
        .arg(server.join("server.conf"))
        .arg("--ports_file_dir")
        .arg(&ports)
        .envs(topology::server::environment(
            "127.0.0.1:-1",
            "127.0.0.1:-1",
            &dir.join("streams"),
            keys,
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut process = child::start("nats-server", command, &dir.join("log/nats-server.log"))?;
    let file = ports.join(format!(
        "nats-server_{}.ports",
        process.child.id().unwrap_or_default()
    ));
    let text = child::text_of(&file, &mut process, Duration::from_secs(20)).await?;
    let url = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|ports| ports["nats"][0].as_str().map(str::to_owned))
        .ok_or_else(|| Failure::internal(&"nats-server wrote no address into its ports file"))?;
    Ok((process, url))
}

/// Creates streams and consumers, as `slacktide exchange apply` does.
pub(crate) async fn apply_topology(admin: ExchangeOptions, recipient: &RecipientName) -> Result<(), Failure> {
    let admin = Admin::new(ExchangeClient::connect(admin).await?.into_nats()?);
    let files =
        topology::embedded(std::slice::from_ref(recipient)).map_err(|error| Failure::internal(&error))?;
    let plan = topology::plan(&admin, &files).await?;
    topology::apply(&admin, &plan, false).await?;
    Ok(())
}
