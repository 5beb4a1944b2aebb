//! What the agent reads from its file and the files that this names: keys, lists, kinds and masks.

use std::sync::Arc;

use exchange::Exchange;
use gate::Gate;
use runtime::config::Loaded;
use schemas::sign::SigningKey;
use social::blocklist::Keeper;
use social::control::ControlParts;
use social::mask::LaneMasks;
use social::record_tracker::RecordTracker;
use social::signed_chunk::EncryptionKeys;
use social::{AnswerConfig, HoldConfig, Social, SocialParts};

use super::super::control_records;
use crate::compose;
use crate::exchange_client::ExchangeOptions;
use crate::failure::Failure;
use crate::settings::{self, SocialFile};

/// The keys, lists, kinds and masks of the agent.
pub(super) struct AgentConfig {
    /// Signs everything that the agent publishes.
    pub(super) key: Arc<SigningKey>,
    /// The connection to the exchange.
    pub(super) exchange: ExchangeOptions,
    encryption: EncryptionKeys,
    blocklist: Option<Keeper>,
    answers: Option<AnswerConfig>,
    masks: LaneMasks,
}

impl AgentConfig {
    /// Reads every file. Opens no connection.
    pub(super) fn read(loaded: &Loaded<SocialFile>) -> Result<Self, Failure> {
        let (file, folder) = (&loaded.value, loaded.folder());
        let key = file.signing.key(folder)?;
        let exchange = file.exchange.agent_options(folder)?;
        let encryption = file.encryption.encryption_keys(folder)?;
        let blocklist = settings::blocklist::open_blocklist(loaded, &key)?;
        let listed = blocklist.as_ref().map(Keeper::list);
        Ok(Self {
            answers: settings::requests::answer_config(loaded, &key, listed)?,
            masks: settings::masks::lane_masks(loaded)?,
            key,
            exchange,
            encryption,
            blocklist,
        })
    }

    /// Returns the dependencies of the task that obeys operators' orders.
    pub(super) fn control(
        &self,
        loaded: &Loaded<SocialFile>,
        exchange: &Arc<dyn Exchange>,
        gate: &Gate,
        record_tracker: &RecordTracker,
        instance: &str,
    ) -> ControlParts {
        let file = &loaded.value;
        ControlParts {
            exchange: Arc::clone(exchange),
            gate: gate.clone(),
            record_tracker: record_tracker.clone(),
            lanes: control_records::lanes(file),
            publishers: file.trust.chunks.clone(),
            origin: file.origin(),
            high_water: control_records::high_water(loaded),
            party: file.social.name.clone(),
            source: file.social.source.clone(),
            operators: file.trust.operators.clone(),
            key: Arc::clone(&self.key),
            instance: instance.to_owned(),
        }
    }

    /// Creates the agent.
    pub(super) fn agent(
        self,
        file: &SocialFile,
        parts: SocialParts,
        record_tracker: &RecordTracker,
    ) -> Result<Social, Failure> {
        let mut agent = Social::new(parts)
            .map_err(|error| Failure::usage(error.to_string()))?
            .with_encryption(self.encryption)
            .with_holds(HoldConfig {
                holds: record_tracker.holds(),
                persons: compose::persons(file),
            })
            .with_record_tracker(record_tracker.clone())
            .with_masks(self.masks)
            .with_notices(file.social.name.clone());
        if let Some(answers) = self.answers {
            agent = agent.with_answers(answers);
        }
        if let Some(blocklist) = self.blocklist {
            agent = agent.with_blocklist(blocklist);
        }
        Ok(agent)
    }
}
