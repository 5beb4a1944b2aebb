//! Runs `make bench-gateway` for a few seconds. It starts the product's gateway with a configuration file like an operator's.

use std::process::Command;
use std::time::Duration;

use harness::{run, slacktide};

#[tokio::test]
async fn gateway_answers_polls_and_writes_without_an_error() {
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_bench-gateway"));
    gateway
        .args([
            "--seconds",
            "5",
            "--rate",
            "300",
            "--connections",
            "40",
            "--writers",
            "2",
        ])
        .env("SLACKTIDE_BIN", slacktide().get_program());
    let measured = run("bench gateway", &mut gateway, Duration::from_secs(180)).await;
    let printed = format!("{}{}", measured.stdout, measured.stderr);
    assert!(measured.status.success(), "{printed}");
    for line in [
        "polls ",
        "writes ",
        "memory of the gateway: ",
        "processors: gateway ",
        "no response of the class 5xx",
    ] {
        assert!(measured.stdout.contains(line), "no {line:?} in:\n{printed}");
    }
}
