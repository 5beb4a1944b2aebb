//! `slacktide masking mark`: what identifies a person in the streams, for an auditor who has none of the bureau's keys.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ::audit::trail::mark::{MaskedDefinition, PersonMark};
use disclosure::mask::Mask;
use disclosure::mask::key::MaskKey;
use requests::kind::Kinds;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::RecipientName;
use schemas::person::PersonKey;
use schemas::value::Value;

use crate::cli::masking::MarkArgs;
use crate::commands::hold::read_person;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// Runs the command.
pub(super) fn run(args: &MarkArgs) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let persons = PersonKey::of(&key).map_err(|error| Failure::internal(&error))?;
    let masking = file.masking.as_ref();
    let masking = masking.map(|masking| masking.key(loaded.folder())).transpose()?;
    let number = read_person(&args.person)?;
    let definitions = definitions(file)?;
    let mark = PersonMark {
        tokens: tokens(&definitions, masking.as_deref(), &number),
        orders: vec![persons.token(&number)],
        definitions,
        number,
    };
    let text = toml::to_string(&mark).map_err(|error| Failure::internal(&error))?;
    write_private(&args.out, &text)?;
    output::line(&format!(
        "{}: the person's number, {} tokens and a digest for orders; it is personal data, for `slacktide audit person --mark`",
        args.out.display(),
        mark.tokens.len()
    ));
    Ok(Exit::Done)
}

/// Returns the definitions of all feeds and kinds for all their recipients, with their masks.
fn definitions(file: &SocialFile) -> Result<Vec<MaskedDefinition>, Failure> {
    let names = |masks: &BTreeMap<String, Mask>| {
        let name = |(column, mask): (&String, &Mask)| (column.clone(), mask.name().to_owned());
        masks.iter().map(name).collect::<BTreeMap<_, _>>()
    };
    let mut all = Vec::new();
    for feed in &file.feeds {
        all.extend(feed.recipients.iter().map(|recipient| MaskedDefinition {
            digest: feed.digest_for(recipient),
            name: feed.name.to_string(),
            recipient: recipient.clone(),
            masks: names(&feed.masks_for(recipient)),
        }));
    }
    let kinds = Kinds::new(file.kinds.clone()).map_err(|error| Failure::usage(error.to_string()))?;
    for kind in kinds.iter() {
        all.extend(kind.config().grant.iter().map(|grant| MaskedDefinition {
            digest: kind.definition(&grant.recipient),
            name: kind.name().to_owned(),
            recipient: grant.recipient.clone(),
            masks: names(&grant.masks),
        }));
    }
    Ok(all)
}

/// Returns the token of the number for each recipient. A recipient without masks now may have had some before.
fn tokens(
    definitions: &[MaskedDefinition],
    masking: Option<&MaskKey>,
    number: &str,
) -> BTreeMap<RecipientName, String> {
    let Some(masking) = masking else {
        return BTreeMap::new();
    };
    let token = |recipient: &RecipientName| {
        let token = masking.for_recipient(recipient).token(Value::Text(number))?;
        Some((recipient.clone(), token))
    };
    let recipients = definitions.iter().map(|definition| &definition.recipient);
    recipients.filter_map(token).collect()
}

fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!(
            "--out {}: {error}; give the path of a new file in a writable folder",
            path.display()
        ))
    };
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(failed)?.write_all(text.as_bytes()).map_err(failed)
}
