use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::signal::config::SignalsConfig;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Answers each request with the next text, repeating the last one. Returns its address and the requests received.
async fn server(answers: Vec<String>) -> std::io::Result<(String, Arc<Mutex<Vec<String>>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let recorder = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut index = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
            recorder.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            let Some(answer) = answers.get(index.min(answers.len().saturating_sub(1))) else {
                // Keeps the connection open without an answer.
                std::future::pending::<()>().await;
                return;
            };
            index += 1;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Ok((address, asked))
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn signals(text: &str, folder: &Path) -> Result<Vec<Box<dyn Signal>>, Box<dyn std::error::Error>> {
    let config: SignalsConfig = toml::from_str(text)?;
    Ok(start(&config.url, folder)?)
}

async fn next(signal: &mut Box<dyn Signal>) -> Result<f64, SignalError> {
    loop {
        match signal.read().await {
            // Or a slow machine let the value expire.
            Err(error) if error.0 == "not asked yet" || error.0.starts_with("last asked") => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            reading => return reading,
        }
    }
}

#[tokio::test]
async fn url_signal_reads_json_with_a_secret_header() -> Outcome {
    let folder = tempfile::tempdir()?;
    let secret = folder.path().join("token");
    std::fs::write(&secret, "Bearer t0ken")?;
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let (address, asked) = server(vec![ok("{\"lag\":2.5}")]).await?;
    let text = format!(
        "[url.lag]\nurl = \"http://{address}/api?q=1\"\njson = \"/lag\"\nstop = 5\nresume = 2\ntimeout = \"60s\"\nheader = {{ name = \"authorization\", value = {{ file = \"token\" }} }}"
    );
    let mut signals = signals(&text, folder.path())?;
    assert_eq!(&*signals[0].name(), "url.lag");
    assert_eq!(next(&mut signals[0]).await, Ok(2.5));
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).join("");
    assert!(asked.starts_with("GET /api?q=1 HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked.contains("authorization: Bearer t0ken") && asked.contains(&format!("host: {address}")),
        "{asked}"
    );
    Ok(())
}

#[tokio::test]
async fn url_signal_status_is_a_value_and_redirects_are_ignored() -> Outcome {
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (address, asked) = server(vec![moved.to_owned()]).await?;
    let text = format!("[url.check]\nurl = \"http://{address}/\"\nvalue = \"status\"\ntimeout = \"60s\"");
    let mut signals = signals(&text, Path::new("."))?;
    assert_eq!(next(&mut signals[0]).await, Ok(1.0));
    // A slow machine may poll twice.
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(asked.iter().all(|text| text.starts_with("GET / ")), "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn url_signal_errors_show_the_host_only() -> Outcome {
    let flood = format!("HTTP/1.1 200 OK\r\n\r\n{}", "9".repeat(80_000));
    for (answers, timeout, expected) in [
        (vec![], "200ms", "no answer within 200 ms"),
        (vec![flood], "60s", "more than 64 KB"),
        (vec![ok("{\"t0ken\":1}")], "60s", "answered with no number"),
    ] {
        let (address, _) = server(answers).await?;
        let text = format!(
            "[url.lag]\nurl = \"http://{address}/s3cret\"\nstop = 5\nresume = 2\ntimeout = \"{timeout}\""
        );
        let mut signals = signals(&text, Path::new("."))?;
        let error = next(&mut signals[0])
            .await
            .err()
            .map(|error| error.0)
            .unwrap_or_default();
        assert!(
            error.starts_with(&format!("{address}: ")) && error.contains(expected),
            "{error}"
        );
        assert!(!error.contains("s3cret") && !error.contains("t0ken"), "{error}");
    }
    // Bound but not listening, so that no other process can listen there.
    let taken = tokio::net::TcpSocket::new_v4()?;
    taken.bind(([127, 0, 0, 1], 0).into())?;
    let address = taken.local_addr()?;
    let text = format!("[url.lag]\nurl = \"http://{address}/\"\nstop = 5\nresume = 2\ntimeout = \"60s\"");
    let mut signals = signals(&text, Path::new("."))?;
    let error = next(&mut signals[0])
        .await
        .err()
        .map(|error| error.0)
        .unwrap_or_default();
    assert!(error.contains("cannot be reached"), "{error}");
    Ok(())
}
