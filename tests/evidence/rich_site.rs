//! A site with everything that is evidence, and its export. It is made once; what changes the export works on copies.

use std::fs;
use std::path::PathBuf;

use harness::{free_port, run, slacktide, until};
use schemas::sign::SigningKey;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use verification::trust_file::TrustFile;

use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::DEADLINE;
use crate::requests::request_site::{INSURERS, RequestSite, claims, read};

/// The export of the site, and what is needed to judge and to forge it.
pub(super) struct RichExport {
    /// `export/` with the files, `trust.toml`, the keys.
    pub(super) folder: TempDir,
    /// Name and bytes of each file.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// What `audit trust` printed.
    pub(super) trust: TrustFile,
    /// The bureau's key after the rotation, and before.
    pub(super) bureau: [SigningKey; 2],
    /// The auditor's key.
    pub(super) auditor: SigningKey,
}

impl RichExport {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Returns the export, which the first caller makes.
pub(super) async fn rich_export() -> &'static RichExport {
    static EXPORT: OnceCell<RichExport> = OnceCell::const_new();
    EXPORT.get_or_init(make).await
}

/// Starts a site and lets everything happen that leaves evidence. The agents are stopped when it returns.
pub(super) async fn live_site(name: &str) -> RequestSite {
    let site = RequestSite::start(name, 30_000, STOP_FILE_GATE).await;
    let next = site.file("keys/bureau-next");
    let mut command = slacktide();
    command
        .args(["keys", "new", "--only", "sign", "--out"])
        .arg(&next);
    assert!(run("keys", &mut command, DEADLINE).await.status.success());
    let keys = [site.sign_pub("bureau"), site.sign_pub("bureau-next")];

    let social = site.bureau().await;
    let mut insurers = Vec::new();
    for insurer in INSURERS {
        insurers.push(site.commercial(insurer, insurer));
    }
    let person = ["psn_no=p000007", "from=2026-01-01", "to=2026-12-31"];
    let answered = site.ask("insurer-a", "claim.by_person", &person, &[]).await;
    let of_day = site.ask("insurer-b", "claim.day", &["day=2026-01-02"], &[]).await;
    let refused = site
        .ask("insurer-b", "claim.over", &["amount=1", "each=1"], &[])
        .await;
    let decided = site.ask("insurer-a", "claim.signed", &["id=7"], &[]).await;
    let cancelled = site.ask("insurer-a", "claim.signed", &["id=8"], &[]).await;
    for id in [&decided, &cancelled] {
        site.wait_state("insurer-a", id, "waits_for_approval").await;
    }
    site.cancel("insurer-a", &cancelled).await;
    for officer in ["li_na", "wang_wei"] {
        let seed = format!("keys/{officer}/sign.seed");
        let line = [
            "approvals",
            "grant",
            &decided,
            "--recipient",
            "insurer-a",
            "--config",
            "bureau.toml",
            "--officer",
            officer,
            "--seed-file",
            &seed,
            "--reason",
            "looked at it",
        ];
        let (done, output) = site.command(&line).await;
        assert!(done, "{output}");
    }
    for (insurer, id, state) in [
        ("insurer-a", &answered, "stored_by_insurer"),
        ("insurer-a", &decided, "stored_by_insurer"),
        ("insurer-a", &cancelled, "cancelled"),
        ("insurer-b", &of_day, "stored_by_insurer"),
        ("insurer-b", &refused, "refused"),
    ] {
        site.wait_state(insurer, id, state).await;
    }
    for verb in ["pause", "resume"] {
        let line = [
            "gate",
            verb,
            "--actor",
            "li.na",
            "--reason",
            "year end",
            "--config",
            "bureau.toml",
        ];
        let (done, output) = site.command(&line).await;
        assert!(done, "{output}");
    }
    until("a new epoch", DEADLINE, async || {
        let line = [
            "feed",
            "rewind",
            "claim",
            "--recipient",
            "insurer-a",
            "--from",
            "receipt",
            "--actor",
            "li.na",
            "--reason",
            "exercise",
            "--config",
            "bureau.toml",
        ];
        let (done, output) = site.command(&line).await;
        if done { Ok(()) } else { Err(output) }
    })
    .await;
    site.core.execute(&claims(30_001, 40_000)).await;

    // The bureau's next key: everybody trusts both, then the bureau signs with it.
    social.stop().await;
    for agent in insurers {
        agent.stop().await;
    }
    let both = format!("\"{}\", \"{}\"", keys[0], keys[1]);
    let mut agents = Vec::new();
    for insurer in INSURERS {
        let file = site.file(&format!("{insurer}.toml"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(&format!("\"{}\"", keys[0]), &both)).unwrap();
        agents.push(site.agent(insurer, "commercial", free_port()));
    }
    let text = fs::read_to_string(site.file("bureau.toml")).unwrap();
    let text = text
        .replace("keys/bureau/sign.seed", "keys/bureau-next/sign.seed")
        .replace(
            "[trust]\n",
            &format!("[trust]\nchunks = [{both}]\noperators = [{both}]\n"),
        );
    fs::write(site.file("bureau.toml"), text).unwrap();
    agents.push(site.agent("bureau", "social", free_port()));
    site.core.execute(&claims(40_001, 45_000)).await;
    write_auditor(&site, &both);
    until("all of it to be stored and signed for", DEADLINE, async || {
        let report = verify_live(&site).await;
        let waits = |text: &str| text.contains("arrival") || text.contains("without a reply");
        let open = report["not_covered"].as_array().unwrap();
        let rows = report["lanes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|lane| lane["rows"].as_u64().unwrap());
        if open.iter().any(|text| waits(text.as_str().unwrap())) || rows.sum::<u64>() < 90_000 {
            return Err(report.to_string());
        }
        Ok(())
    })
    .await;
    for agent in agents {
        agent.stop().await;
    }
    site
}

/// Returns the report of `audit verify --json`.
pub(super) async fn verify_live(site: &RequestSite) -> Value {
    site.json(&["audit", "verify", "--json", "--config", "auditor.toml"])
        .await
}

fn write_auditor(site: &RequestSite, bureau: &str) {
    let of = |user: &str| format!("\"{}\"", site.sign_pub(user));
    let insurers = INSURERS.map(of).join(", ");
    let officers = ["li_na", "wang_wei"].map(of).join(", ");
    let text = format!(
        "[exchange]\nurl = \"{}\"\nuser = \"auditor\"\nseed = {{ file = \"keys/auditor/connect.seed\" }}\n\
         [signing]\nseed = {{ file = \"keys/auditor/sign.seed\" }}\n\
         [trust]\nchunks = [{bureau}]\nreceipts = [{insurers}]\nentries = [{bureau}, {insurers}]\nofficers = [{officers}]\n",
        site.nats.url()
    );
    fs::write(site.file("auditor.toml"), text).unwrap();
}

async fn make() -> RichExport {
    let site = live_site("evidence").await;
    // An hour's files: the export has at least one, and its messages are the same in any split.
    let line = [
        "audit",
        "export",
        "--config",
        "auditor.toml",
        "--out",
        "export",
        "--json",
    ];
    let report = site.json(&line).await;
    assert_eq!(report["is_complete"], true, "{report}");
    let (done, trust) = site
        .command(&["audit", "trust", "--config", "auditor.toml"])
        .await;
    assert!(done, "{trust}");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("export")).unwrap();
    fs::write(folder.path().join("trust.toml"), &trust).unwrap();
    let mut files = Vec::new();
    let mut names: Vec<String> = fs::read_dir(site.file("export"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let bytes = fs::read(site.file("export").join(&name)).unwrap();
        fs::write(folder.path().join("export").join(&name), &bytes).unwrap();
        files.push((name, bytes));
    }
    let key =
        |user: &str| SigningKey::from_seed(&read(&site.file("keys").join(user).join("sign.seed"))).unwrap();
    RichExport {
        folder,
        files,
        trust: toml::from_str(&trust).unwrap(),
        bureau: [key("bureau-next"), key("bureau")],
        auditor: key("auditor"),
    }
}
