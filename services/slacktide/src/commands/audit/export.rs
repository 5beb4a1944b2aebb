//! `slacktide audit export`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use ::audit::export::run::{ExportPlan, Exporter, PreviousFile};
use jiff::SignedDuration;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::envelope::Envelope;
use schemas::sign::{PublicKey, SigningKey};
use serde::Serialize;
use verification::export::format::BlockKind;
use verification::export::manifest::Manifest;
use verification::export::reader::{Next, Reader};

use super::{connect, failed};
use crate::cli::{AuditCommand, ExportPeriod};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Line, Progress, Report, Style, Time, View};

/// The extension of export files.
const EXTENSION: &str = "slx";

/// What was exported.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(title = "audit export")]
pub(in crate::commands) struct ExportReport {
    /// The files that were written, in their order.
    items: Vec<ExportedFile>,
    /// The records of these files.
    records: u64,
    /// Whether every stream was read up to the last sequence that its leader reported.
    is_complete: bool,
    /// The streams whose end was not reached, or is not known.
    missed: Vec<String>,
    /// The streams that the credential may not read.
    denied: Vec<String>,
}

/// A file that was written.
#[derive(Debug, Serialize, JsonSchema)]
struct ExportedFile {
    /// Its path.
    path: String,
    /// Its number in the export.
    number: u64,
    /// The end of its period.
    until: Option<Time>,
    /// Its records.
    records: u64,
    /// Its length in bytes.
    bytes: u64,
}

impl Report for ExportReport {
    fn view(&self) -> View {
        let mut view = View::new();
        for file in &self.items {
            view.line(format!(
                "{}: {} records, {} bytes",
                file.path, file.records, file.bytes
            ));
        }
        if self.items.is_empty() {
            view.line("nothing is new; no file was written");
        }
        for what in &self.denied {
            view.line(Line::styled(Style::Waiting, "NOT READABLE").and(format!(
                ": {what}; apply the accounts of this version (slacktide exchange party)"
            )));
        }
        for what in &self.missed {
            view.line(Line::styled(Style::Alarm, "NOT COMPLETE").and(format!(": {what}")));
        }
        if self.is_complete {
            view.line("every stream was read up to the last sequence that its leader reported");
        }
        view
    }
}

/// Runs the command.
pub(super) async fn run(command: AuditCommand) -> Outcome {
    let AuditCommand::Export {
        config,
        out,
        from,
        to,
        party,
        period,
        json,
    } = command
    else {
        return Err(Failure::usage("not an export"));
    };
    let (loaded, exchange) = connect(&config.config).await?;
    let Some(signing) = &loaded.value.signing else {
        return Err(Failure::usage(format!(
            "{}: signing: is missing, and an export is signed; make a key with `slacktide keys new --only sign` and name it: \
             [signing] seed = {{ file = \"keys/sign.seed\" }}",
            loaded.path.display()
        )));
    };
    let key = signing.key(loaded.folder())?;
    let target = Target::new(&out)?;
    let previous = target.previous(key.public())?;
    let plan = ExportPlan {
        site: loaded.value.exchange.site.clone(),
        from: previous
            .as_ref()
            .map_or(from, |previous| previous.manifest.header.from),
        until: to,
        parties: party,
        period: match (period, &target) {
            (_, Target::File(_)) | (ExportPeriod::None, _) => None,
            (ExportPeriod::Hour, _) => Some(SignedDuration::from_hours(1)),
            (ExportPeriod::Day, _) => Some(SignedDuration::from_hours(24)),
        },
        rules: loaded.value.trust.keys.clone(),
    };
    let report = write_files(&exchange, plan, &key, previous, &target).await?;
    output::report(&report, json)?;
    Ok(if report.is_complete {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

async fn write_files(
    exchange: &crate::exchange_client::ExchangeClient,
    plan: ExportPlan,
    key: &SigningKey,
    previous: Option<PreviousFile>,
    target: &Target,
) -> Result<ExportReport, Failure> {
    let mut exporter = Exporter::begin(exchange, plan, key, previous)
        .await
        .map_err(failed)?;
    let mut progress = Progress::new("messages exported", exporter.messages());
    let mut report = ExportReport {
        denied: exporter.denied().iter().map(ToString::to_string).collect(),
        ..ExportReport::default()
    };
    while exporter.has_more().await.map_err(failed)? {
        let path = target.path(exporter.next_number());
        let part = path.with_extension("slx.part");
        let file = File::create(&part).map_err(|error| unwritable(&part, &error))?;
        let mut show = |done| progress.set(done, "");
        let out = BufWriter::with_capacity(1 << 20, file);
        let written = exporter.write_file(out, &mut show).await.map_err(failed)?;
        let failure = |error: &io::Error| unwritable(&path, error);
        let mut file = written.out.into_inner().map_err(|error| failure(error.error()))?;
        file.flush()
            .and_then(|()| file.sync_all())
            .map_err(|error| failure(&error))?;
        let bytes = file.metadata().map_err(|error| failure(&error))?.len();
        // Only a whole file has the final name.
        fs::rename(&part, &path).map_err(|error| failure(&error))?;
        report.records += written.manifest.end.records;
        report.items.push(ExportedFile {
            path: path.display().to_string(),
            number: written.manifest.header.number,
            until: written.manifest.header.until.map(Time),
            records: written.manifest.end.records,
            bytes,
        });
    }
    report.missed = exporter.missed();
    report.is_complete = report.missed.is_empty();
    Ok(report)
}

/// Where the export is written.
enum Target {
    /// A folder with one file for each period.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
}

impl Target {
    fn new(out: &Path) -> Result<Self, Failure> {
        if out.is_dir() || out.extension().is_none_or(|extension| extension != EXTENSION) {
            fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
            return Ok(Self::Folder(out.to_owned()));
        }
        if out.exists() {
            return Err(Failure::usage(format!(
                "--out {}: the file exists, and an export is never written over; name a new file, or a folder, which a later run \
                 continues",
                out.display()
            )));
        }
        Ok(Self::File(out.to_owned()))
    }

    fn path(&self, number: u64) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(format!("{number:06}.{EXTENSION}")),
            Self::File(file) => file.clone(),
        }
    }

    /// Returns the last file of an earlier run.
    fn previous(&self, key: &PublicKey) -> Result<Option<PreviousFile>, Failure> {
        let Self::Folder(folder) = self else {
            return Ok(None);
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| unwritable(folder, &error))? {
            let path = entry.map_err(|error| unwritable(folder, &error))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push(path);
            }
        }
        files.sort();
        let Some(last) = files.last() else {
            return Ok(None);
        };
        let invalid = |what: &str| {
            Failure::new(
                Exit::Evidence,
                format!(
                    "{}: {what}; move it away, or export to another folder",
                    last.display()
                ),
            )
        };
        let file = File::open(last).map_err(|error| unwritable(last, &error))?;
        let mut reader = Reader::new(BufReader::with_capacity(1 << 20, file));
        let mut found = None;
        loop {
            match reader.next().map_err(|error| unwritable(last, &error))? {
                Next::Block(block) if !block.is_valid => {
                    return Err(invalid("the last file of the export is damaged"));
                }
                Next::Block(block) if block.kind == BlockKind::Manifest => {
                    let content = block.content.unwrap_or_default();
                    let manifest = Envelope::decode(&content)
                        .and_then(|envelope| envelope.verify::<Manifest>(std::slice::from_ref(key)))
                        .map_err(|error| invalid(&error.to_string()))?;
                    found = Some(PreviousFile {
                        manifest,
                        digest: block.digest,
                    });
                }
                Next::Block(_) => {}
                Next::End => break,
                Next::Damaged { what, .. } => return Err(invalid(&what)),
            }
        }
        found
            .map(Some)
            .ok_or_else(|| invalid("the last file of the export has no signed manifest"))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let what = format!(
        "{}: {error}; make the folder writable, or name another one",
        path.display()
    );
    Failure::new(Exit::Unfinished, what)
}
