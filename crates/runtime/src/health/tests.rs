use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

struct Fixed(bool);

impl Report for Fixed {
    fn status(&self) -> serde_json::Value {
        serde_json::json!({ "state": "closed" })
    }

    fn metrics(&self) -> String {
        "slacktide_up 1\n".to_owned()
    }

    fn ready(&self) -> Result<(), Problem> {
        Err("no orders".into())
    }

    fn healthy(&self) -> Result<(), Problem> {
        if self.0 { Ok(()) } else { Err("no exchange".into()) }
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn ask(addr: SocketAddr, path: &str) -> io::Result<String> {
    ask_for(addr, path, &addr.to_string()).await
}

async fn ask_for(addr: SocketAddr, path: &str, host: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn health_server_answers_until_stopped() -> Outcome {
    let folder = tempfile::tempdir()?;
    let addr_file = folder.path().join("addr");
    let config = HealthConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        addr_file: Some(addr_file.clone()),
    };
    let stop = CancellationToken::new();
    let serving = serve(&config, Arc::new(Fixed(true)), stop.clone()).await?;
    assert_eq!(std::fs::read_to_string(addr_file)?, serving.addr.to_string());
    assert!(ask(serving.addr, "/healthz").await?.starts_with("HTTP/1.1 200"));
    // A process may be well, alive, and not ready.
    assert!(ask(serving.addr, "/livez").await?.starts_with("HTTP/1.1 200"));
    let ready = ask(serving.addr, "/readyz").await?;
    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.ends_with("no orders\n"),
        "{ready}"
    );
    assert!(
        ask(serving.addr, "/status")
            .await?
            .ends_with("{\"state\":\"closed\"}")
    );
    assert!(ask(serving.addr, "/metrics").await?.ends_with("slacktide_up 1\n"));
    assert!(ask(serving.addr, "/other").await?.starts_with("HTTP/1.1 404"));
    // A client that stays connected does not hold it up.
    let _idle = TcpStream::connect(serving.addr).await?;
    stop.cancel();
    serving.task.await?;
    Ok(())
}

#[tokio::test]
async fn health_failed_part_is_not_live() -> Outcome {
    struct Failed;
    impl Report for Failed {
        fn status(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
        fn metrics(&self) -> String {
            String::new()
        }
        fn live(&self) -> Result<(), Problem> {
            Err("a task panicked".into())
        }
    }
    let config = HealthConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        addr_file: None,
    };
    let serving = serve(&config, Arc::new(Failed), CancellationToken::new()).await?;
    let answer = ask(serving.addr, "/livez").await?;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("a task panicked\n"),
        "{answer}"
    );
    Ok(())
}

#[tokio::test]
async fn health_unhealthy_is_503_with_the_reason() -> Outcome {
    let config = HealthConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        addr_file: None,
    };
    let serving = serve(&config, Arc::new(Fixed(false)), CancellationToken::new()).await?;
    let answer = ask(serving.addr, "/healthz").await?;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("no exchange\n"),
        "{answer}"
    );
    Ok(())
}

#[test]
fn health_host_is_a_loopback_name_or_address() {
    let allowed = |hosts: &[&str]| {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        names_loopback(&headers)
    };
    for host in [
        "localhost",
        "LocalHost:9101",
        "127.0.0.1",
        "127.0.0.1:9101",
        "127.8.8.8:80",
        "[::1]",
        "[::1]:9101",
    ] {
        assert!(allowed(&[host]), "{host}");
    }
    for host in [
        "",
        "evil.example",
        "evil.example:9101",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example@localhost",
        "localhost:evil",
        "localhost:9101:1",
        "[::1]evil",
        "[::1]:",
        "[fe80::1]:9101",
        "10.0.0.1:9101",
        "0.0.0.0:9101",
    ] {
        assert!(!allowed(&[host]), "{host}");
    }
    assert!(!allowed(&[]), "no host");
    assert!(!allowed(&["localhost", "evil.example"]), "two hosts");
}

#[tokio::test]
async fn health_request_for_another_host_gets_nothing() -> Outcome {
    let config = HealthConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        addr_file: None,
    };
    let serving = serve(&config, Arc::new(Fixed(true)), CancellationToken::new()).await?;
    for path in ["/livez", "/readyz", "/healthz", "/status", "/metrics", "/other"] {
        let answer = ask_for(serving.addr, path, "rebound.example").await?;
        assert!(answer.starts_with("HTTP/1.1 421"), "{path}: {answer}");
        assert!(
            answer.ends_with("127.0.0.1, [::1] or localhost\n"),
            "{path}: {answer}"
        );
        let own = ask(serving.addr, path).await?;
        assert!(
            own.to_lowercase().contains("x-content-type-options: nosniff"),
            "{own}"
        );
        let is_known = own.starts_with("HTTP/1.1 200") || own.starts_with("HTTP/1.1 503");
        let content = if path == "/status" {
            "application/json"
        } else {
            "text/plain"
        };
        assert!(
            !is_known || own.contains(&format!("content-type: {content}")),
            "{own}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn health_hostile_texts_are_escaped_on_every_page() -> Outcome {
    struct Hostile;
    impl Report for Hostile {
        fn status(&self) -> serde_json::Value {
            serde_json::json!({ "last_error": HOSTILE })
        }
        fn metrics(&self) -> String {
            String::new()
        }
        fn ready(&self) -> Result<(), Problem> {
            Err(HOSTILE.into())
        }
        fn healthy(&self) -> Result<(), Problem> {
            Err(HOSTILE.into())
        }
    }
    const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2028}\nforged";
    let config = HealthConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        addr_file: None,
    };
    let serving = serve(&config, Arc::new(Hostile), CancellationToken::new()).await?;
    for path in ["/readyz", "/healthz", "/status"] {
        let answer = ask(serving.addr, path).await?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
        assert!(
            body.trim_end_matches('\n')
                .chars()
                .all(|c| matches!(c, ' '..='~')),
            "{path}: {body:?}"
        );
    }
    let answer = ask(serving.addr, "/status").await?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    let status: serde_json::Value = serde_json::from_str(body)?;
    assert_eq!(status["last_error"], HOSTILE);
    Ok(())
}

#[tokio::test]
async fn health_address_beyond_loopback_is_refused() {
    let config = HealthConfig {
        listen: (Ipv4Addr::UNSPECIFIED, 0).into(),
        addr_file: None,
    };
    let refused = serve(&config, Arc::new(Fixed(true)), CancellationToken::new()).await;
    assert!(matches!(&refused, Err(error @ HealthError::NotLoopback(_)) if !error.is_transient()));
}

#[tokio::test]
async fn health_port_that_is_taken_may_be_free_later() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = HealthError::Bind(
        taken.local_addr().unwrap(),
        std::net::TcpListener::bind(taken.local_addr().unwrap()).unwrap_err(),
    );
    assert!(error.is_transient(), "{error}");
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    assert!(!HealthError::Bind(taken.local_addr().unwrap(), denied).is_transient());
}
