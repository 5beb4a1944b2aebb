//! The configuration files of a test site, each for the folder of its party.

use schemas::name::SiteName;

use super::Public;

/// The parameters of a party's file.
pub(super) struct Site<'a> {
    /// Its name.
    pub(super) name: &'a SiteName,
    /// `host:port`.
    pub(super) exchange: &'a str,
    /// The bureau's keys.
    pub(super) bureau: &'a Public,
    /// Each recipient with its keys.
    pub(super) recipients: &'a [(String, Public)],
}

fn exchange(site: &Site<'_>, user: &str) -> String {
    format!(
        "[exchange]\nsite = \"{}\"\nurl = \"tls://{}\"\nuser = \"{user}\"\nseed = {{ file = \"connect.seed\" }}\n\n\
         # Read again at every connection: a renewed certificate needs no restart.\n\
         [exchange.tls]\nca = \"ca.pem\"\ncert = \"client.pem\"\nkey = \"client.key\"\n\n",
        site.name, site.exchange
    )
}

fn list<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = keys.map(|key| format!("\"{key}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// The bureau's agent, with the example core.
pub(super) fn social(site: &Site<'_>) -> String {
    let mut receipts = String::new();
    let mut encryption_keys = String::new();
    for (name, keys) in site.recipients {
        receipts += &format!("{name} = [\"{}\"]\n", keys.sign);
        encryption_keys += &format!("{name} = \"{}\"\n", keys.encryption);
    }
    let names = list(site.recipients.iter().map(|(name, _)| name.as_str()));
    format!(
        "# The bureau's agent: `slacktide social run --config social.toml`\n\n\
         [social]\nname = \"bureau\"\nsource = \"core\"\n\n{}\
         [signing]\nseed = {{ file = \"sign.seed\" }}\n\n\
         # Trusted signing keys of receivers.\n[trust.receipts]\n{receipts}\n\
         # Bodies are encrypted to these keys, so that the exchange's operator cannot read them; positions are\n\
         # encrypted with the bureau's own. others = [{{ file = … }}] decrypts data from before a rotation.\n\
         [encryption]\nseed = {{ file = \"encryption.seed\" }}\n\n[encryption.recipients]\n{encryption_keys}\n\
         # An example. A core of your own: kind = \"postgres\" with url = {{ env = \"CORE_URL\" }}.\n\
         [source]\nkind = \"sqlite\"\npath = \"core.db\"\n\n\
         [publisher]\nidle_poll = \"500ms\"\n\n\
         [health]\nlisten = \"127.0.0.1:9101\"\n\n\
         [[feed]]\nname = \"claim\"\nversion = 1\n\
         sql = \"SELECT id, updated_at, person, amount, memo, deleted FROM claim\"\n\
         cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"application\"\nlag = \"1s\"\nkey = [\"id\"]\n\
         money = [\"amount\"]\ntombstone = \"deleted\"\nrecipients = {names}\n",
        exchange(site, "bureau")
    )
}

/// A recipient's agent.
pub(super) fn commercial(site: &Site<'_>, name: &str, port: u16) -> String {
    format!(
        "# The insurer's agent: `slacktide commercial run --config commercial.toml`, as many as you like\n\n\
         [commercial]\nrecipient = \"{name}\"\nbureau = \"bureau\"\nsource = \"core\"\n\n{}\
         [signing]\nseed = {{ file = \"sign.seed\" }}\n\n\
         # Trusted publishers.\n[trust]\nchunks = [\"{}\"]\n\n\
         # Decrypts bodies. others = [{{ file = … }}] during a key rotation.\n\
         [encryption]\nseed = {{ file = \"encryption.seed\" }}\n\n\
         [store]\nkind = \"sqlite\"\npath = \"store.db\"\n\n[poll]\ninterval = \"1s\"\n\n\
         [health]\nlisten = \"127.0.0.1:{port}\"\n",
        exchange(site, name),
        site.bureau.sign
    )
}

/// The auditor's commands.
pub(super) fn auditor(site: &Site<'_>) -> String {
    let receipts = list(site.recipients.iter().map(|(_, keys)| keys.sign.as_str()));
    let others = site.recipients.iter().map(|(_, keys)| keys.sign.as_str());
    let entries = list(std::iter::once(site.bureau.sign.as_str()).chain(others));
    format!(
        "# The auditor: `slacktide audit verify --config auditor.toml`\n\n{}\
         [trust]\nchunks = [\"{}\"]\nreceipts = {receipts}\nentries = {entries}\n\n\
         # With a recipient's seed, rows and sums are checked, too; without it they stay encrypted.\n\
         # [encryption]\n# seed = {{ file = \"insurer.seed\" }}\n",
        exchange(site, "auditor"),
        site.bureau.sign
    )
}

/// The administrator's commands.
pub(super) fn admin(site: &Site<'_>) -> String {
    format!(
        "# The administrator: `slacktide exchange apply --config admin.toml`\n\n{}",
        exchange(site, "admin")
    )
}
