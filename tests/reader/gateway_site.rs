//! A gateway as an operator runs it, and a plain HTTP client.

use std::fs;
use std::path::Path;

use harness::{Process, free_port, run, slacktide, until};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::pipeline::site::DEADLINE;

/// A running gateway in the folder of a site.
pub(super) struct GatewaySite {
    pub(super) process: Process,
    pub(super) port: u16,
    folder: std::path::PathBuf,
}

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }

    /// Returns the last token of the problem's type.
    pub(super) fn problem(&self) -> String {
        let json = self.json();
        let uri = json["type"].as_str().unwrap_or_default();
        uri.rsplit(':').next().unwrap_or_default().to_owned()
    }
}

impl GatewaySite {
    /// Starts a gateway that serves insurer-a, with the keys in `folder`/keys.
    pub(super) async fn start(folder: &Path, exchange: &str) -> Self {
        let port = free_port();
        let text = format!(
            "[gateway]\nlisten = \"127.0.0.1:{port}\"\ntokens = \"tokens.json\"\nconsole = true\n[exchange]\nurl = \"{exchange}\"\n\
             [[party]]\nname = \"insurer-a\"\nrole = \"recipient\"\nseed = {{ file = \"keys/insurer-a/connect.seed\" }}\n"
        );
        fs::write(folder.join("gateway.toml"), text).unwrap();
        let site = |process| Self {
            process,
            port,
            folder: folder.to_owned(),
        };
        let mut command = slacktide();
        command
            .current_dir(folder)
            .args(["gateway", "token", "list", "--config", "gateway.toml"]);
        let listed = run("tokens", &mut command, DEADLINE).await;
        assert!(listed.status.success(), "{}", listed.stderr);
        // The gateway does not start without the file of tokens that it names.
        let mut command = slacktide();
        command
            .current_dir(folder)
            .args(["gateway", "run", "--config", "gateway.toml"]);
        let refused = run("gateway without tokens", &mut command, DEADLINE).await;
        assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("slacktide gateway token new"),
            "{}",
            refused.stderr
        );
        let first = command_of(
            folder,
            &["token", "new", "--party", "insurer-a", "--note", "first"],
        )
        .await;
        let mut command = slacktide();
        command
            .current_dir(folder)
            .args(["gateway", "run", "--config", "gateway.toml"]);
        let mut gateway = site(Process::spawn("gateway", &mut command));
        let (port, bearer) = (gateway.port, format!("Bearer {}", first.trim()));
        gateway
            .process
            .until("its first answer", DEADLINE, async || {
                let headers = [("Authorization", bearer.as_str())];
                match request(port, "GET", "/v1/ping", &headers, b"").await {
                    Ok(answer) if answer.status == 200 => Ok(()),
                    Ok(answer) => Err(format!("{answer:?}")),
                    Err(error) => Err(error.to_string()),
                }
            })
            .await;
        gateway
    }

    /// Runs `slacktide gateway …` and returns its standard output.
    pub(super) async fn command(&self, words: &[&str]) -> String {
        command_of(&self.folder, words).await
    }

    /// Creates a token.
    pub(super) async fn token(&self) -> String {
        let token = self.command(&["token", "new", "--party", "insurer-a"]).await;
        token.trim().to_owned()
    }

    /// Sends a request with a token.
    pub(super) async fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [&[("Authorization", bearer.as_str())], headers].concat();
        request(self.port, method, path, &headers, body).await.unwrap()
    }

    /// Sends a request without a token.
    pub(super) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        request(self.port, method, path, headers, body).await.unwrap()
    }

    pub(super) async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(token, "GET", path, &[], b"").await
    }

    /// Stops it as a service manager would, and asserts that it succeeds.
    pub(super) async fn stop(mut self) {
        self.process.sigterm();
        let status = self.process.wait_exit(DEADLINE).await;
        assert!(status.success(), "{status}: {}", self.process.stderr());
    }
}

async fn command_of(folder: &Path, words: &[&str]) -> String {
    let mut command = slacktide();
    command
        .current_dir(folder)
        .arg("gateway")
        .args(words)
        .args(["--config", "gateway.toml"]);
    let done = run("slacktide gateway", &mut command, DEADLINE).await;
    assert!(done.status.success(), "{words:?}: {}", done.stderr);
    done.stdout
}

/// Sends an HTTP/1.0 request: the body of the response ends with the connection.
async fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| std::io::Error::other("no end of headers"))?;
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(|| std::io::Error::other("no status"))?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// Waits until a feed has this many rows in its chunks, by downloads of the rows from the beginning.
pub(super) async fn wait_rows(gateway: &GatewaySite, token: &str, feed: &str, rows: usize) {
    until(&format!("{rows} rows of {feed}"), DEADLINE, async || {
        let answer = gateway
            .get(token, &format!("/v1/feeds/{feed}/rows?max=1000"))
            .await;
        let found = answer.body.lines().count().saturating_sub(1);
        if answer.status == 200 && found == rows {
            Ok(())
        } else {
            Err(format!("{}: {found} rows", answer.status))
        }
    })
    .await;
}
