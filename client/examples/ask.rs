//! Requests one person's settlements, waits for the answer, and prints the number of rows.
//!
//! ```text
//! ask URL USER CONNECT_SEED_FILE SIGN_SEED_FILE BUREAU_SIGN_PUB PSN_NO
//! ```

use std::time::Duration;

use slacktide_client::{Ask, Client, Identity, Options, Origin, PublicKey};

#[expect(
    clippy::disallowed_methods,
    reason = "an example writes its own line, of an id and numbers"
)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, user, connect, sign, bureau, person] = arguments.as_slice() else {
        return Err("ask URL USER CONNECT_SEED_FILE SIGN_SEED_FILE BUREAU_SIGN_PUB PSN_NO".into());
    };
    let seed = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
    let client = Client::connect(
        Options::command(url, user, seed(connect)?),
        Identity {
            recipient: user.parse()?,
            origin: Origin::default(),
            signing_seed: seed(sign)?,
            trusted: vec![PublicKey::new(bureau)?],
            decryption_seeds: vec![],
        },
    )
    .await?;
    // The idempotency key: use another one for the next request.
    let ask = Ask::new(
        "setl.by_person",
        "01",
        "01",
        format!("example {person}"),
        "the example",
    )
    .argument("psn_no", person)
    .argument("from", "2026-01-01")
    .argument("to", "2026-12-31");
    let id = client.file(&ask).await?;
    let answer = client
        .wait(&id, Duration::from_secs(1), Duration::from_secs(300))
        .await?;
    let line = format!(
        "{id}: {}, {} rows\n",
        answer.outcome().name(),
        answer.rows().count()
    );
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes())?;
    client.close().await;
    Ok(())
}
