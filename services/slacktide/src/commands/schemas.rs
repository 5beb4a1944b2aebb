//! The schemas of the JSON of all commands, compared with the published ones in `schemas/cli/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::CommandFactory;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::quarantine::commercial::RetryReport;
use super::quarantine::social::{RemedyReport, discard::DiscardReport};
use super::{
    approvals, audit, blocklist, config, exchange, feed, gate, gateway, hold, keys, masking, orders, party,
    quarantine, reconcile, request, status,
};
use crate::cli::Cli;
use crate::{demo, doctor};

/// What `quarantine retry` prints, by the side of the configuration.
#[derive(JsonSchema)]
#[schemars(untagged, title = "quarantine retry")]
#[expect(dead_code, reason = "only its schema is used")]
enum Retry {
    /// At the insurer.
    Insurer(RetryReport),
    /// At the bureau.
    Bureau(RemedyReport),
}

/// What `quarantine discard` prints, by the side of the configuration.
#[derive(JsonSchema)]
#[schemars(untagged, title = "quarantine discard")]
#[expect(dead_code, reason = "only its schema is used")]
enum Discard {
    /// At the insurer.
    Insurer(RetryReport),
    /// At the bureau.
    Bureau(DiscardReport),
}

/// What `status` prints.
#[derive(JsonSchema)]
#[schemars(untagged, title = "status")]
#[expect(dead_code, reason = "only its schema is used")]
enum Status {
    /// Without `--published`.
    Now(Box<status::report::StatusReport>),
    /// With `--published`.
    Published(status::published::PublishedReport),
}

/// Adds the schema of a type under the names of its commands.
fn add<T: JsonSchema>(all: &mut BTreeMap<&'static str, Schema>, commands: &[&'static str]) {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<T>();
    all.extend(commands.iter().map(|command| (*command, schema.clone())));
}

/// Returns the schema of each command that prints JSON.
fn all() -> BTreeMap<&'static str, Schema> {
    let mut all = BTreeMap::new();
    let it = &mut all;
    add::<approvals::ApprovalList>(it, &["approvals list"]);
    add::<approvals::DecisionReport>(it, &["approvals grant", "approvals refuse"]);
    add::<audit::diff::DiffReport>(it, &["audit diff"]);
    add::<audit::export::ExportReport>(it, &["audit export"]);
    add::<audit::questions::QuestionList>(it, &["audit questions"]);
    add::<audit::rebuild::RebuildReport>(it, &["audit rebuild"]);
    add::<audit::trail::TrailReport>(it, &["audit person", "audit request"]);
    add::<audit::report::VerifyReport>(it, &["audit verify"]);
    add::<blocklist::BlockListReport>(it, &["blocklist import", "blocklist show"]);
    add::<config::ConfigReport>(it, &["config show"]);
    add::<demo::report::Report>(it, &["demo"]);
    add::<doctor::Findings>(it, &["doctor"]);
    add::<exchange::PlanReport>(it, &["exchange apply"]);
    add::<exchange::StreamList>(it, &["exchange status"]);
    add::<party::PartyList>(it, &["exchange party list"]);
    add::<feed::accept::ChangeReport>(it, &["feed accept-change"]);
    add::<feed::refill::RefillReport>(it, &["feed refill"]);
    add::<feed::rewind::EpochReport>(it, &["feed rewind", "feed resync"]);
    add::<feed::show::FeedItem>(it, &["feed show"]);
    add::<feed::show::FeedList>(it, &["feed list"]);
    add::<gate::explain::ExplainReport>(it, &["gate explain"]);
    add::<gate::forecast::ForecastReport>(it, &["gate forecast"]);
    add::<gate::order::OrderReport>(it, &["gate pause", "gate resume", "gate limit"]);
    add::<gate::simulate::SimulationReport>(it, &["gate simulate"]);
    add::<gate::watch::GateReport>(it, &["gate watch"]);
    add::<gateway::token::NewTokenReport>(it, &["gateway token new"]);
    add::<gateway::token::TokenList>(it, &["gateway token list"]);
    add::<hold::render::AddedReport>(it, &["hold add"]);
    add::<hold::render::HoldList>(it, &["hold list"]);
    add::<hold::render::ReleasedReport>(it, &["hold release"]);
    add::<keys::KeysReport>(it, &["keys new"]);
    add::<masking::PreviewReport>(it, &["masking preview"]);
    add::<orders::RecordReport>(it, &["orders show", "orders confirm"]);
    add::<Discard>(it, &["quarantine discard"]);
    add::<Retry>(it, &["quarantine retry"]);
    add::<quarantine::export::CheckReport>(it, &["quarantine check"]);
    add::<quarantine::export::ExportReport>(it, &["quarantine export"]);
    add::<quarantine::render::EntryList>(it, &["quarantine list"]);
    add::<quarantine::render::EntryReport>(it, &["quarantine show"]);
    add::<reconcile::report::ReconcileReport>(it, &["reconcile run", "reconcile show", "reconcile repair"]);
    add::<request::CancelReport>(it, &["request cancel"]);
    add::<request::filing::FilingReport>(it, &["request file"]);
    add::<request::list::RequestList>(it, &["request list"]);
    add::<request::result::ResultReport>(it, &["request result"]);
    add::<request::show::RequestReport>(it, &["request show"]);
    add::<request::watch::OutcomeLine>(it, &["request watch"]);
    add::<Status>(it, &["status"]);
    all
}

/// Returns the commands below one that can print JSON, by their words.
fn commands_with_json(command: &clap::Command, words: &str, found: &mut BTreeSet<String>) {
    let prints_json = |argument: &clap::Arg| {
        let values = argument.get_possible_values();
        argument.get_id() == "json"
            || argument.get_id() == "format" && values.iter().any(|value| value.get_name() == "json")
    };
    if command.get_arguments().any(prints_json) {
        found.insert(words.to_owned());
    }
    for inner in command.get_subcommands() {
        let words = format!("{words} {}", inner.get_name());
        commands_with_json(inner, words.trim(), found);
    }
}

#[test]
fn schemas_every_command_with_json_has_one() {
    let mut found = BTreeSet::new();
    commands_with_json(&Cli::command(), "", &mut found);
    let known: BTreeSet<String> = all().into_keys().map(str::to_owned).collect();
    assert_eq!(found, known);
}

#[test]
fn schemas_top_level_is_an_object() {
    for (command, schema) in all() {
        let is_object = schema.get("type").is_some_and(|kind| kind == "object");
        assert!(is_object || schema.get("anyOf").is_some(), "{command}");
    }
}

/// `SLACKTIDE_WRITE_SCHEMAS=1` writes the files instead of comparing them.
#[test]
fn schemas_published_files_equal_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/cli");
    let mut names = BTreeSet::new();
    for (command, schema) in all() {
        let file = folder.join(format!("{}.json", command.replace(' ', "-")));
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("SLACKTIDE_WRITE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let published = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            published,
            text,
            "{} differs: run with SLACKTIDE_WRITE_SCHEMAS=1",
            file.display()
        );
        names.insert(file.file_name().unwrap().to_owned());
    }
    // No file of a command that no longer exists.
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(names.contains(&name) || name == "README.md", "{name:?}");
    }
}
