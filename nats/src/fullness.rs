//! How full the streams are that a party publishes to.

use exchange::Result;
use exchange::fullness::Fullness;
use exchange::port::Stream;

use crate::connect::JetStream;
use crate::topology::Role;
use crate::topology::rights::published_streams;

impl JetStream {
    /// Asks how full each stream is that this connection's party publishes in. A stream without a limit is left out.
    ///
    /// # Errors
    /// Those of the exchange's operations.
    pub async fn fullness(&self, role: Role) -> Result<Vec<Fullness>> {
        let mut all = Vec::new();
        let recipients = match role {
            Role::Bureau => self.wire.parties(Stream::Data).await?,
            _ => Vec::new(),
        };
        for stream in published_streams(role, &self.wire.options.user, recipients.iter()) {
            all.extend(self.wire.state_of_named(&stream).await?.fullness());
        }
        Ok(all)
    }
}
