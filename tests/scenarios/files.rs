//! Configuration files as a user would write them.

pub(super) fn exchange(url: &str, user: &str) -> String {
    format!(
        "[exchange]\nurl = \"{url}\"\nuser = \"{user}\"\nseed = {{ file = \"keys/{user}/connect.seed\" }}\n"
    )
}

/// Returns `social.toml`; scenarios vary `source`, `gate` and `feeds`.
pub(super) fn social(
    exchange: &str,
    receipts: &str,
    source: &str,
    gate: &str,
    feeds: &str,
    name: &str,
) -> String {
    let gate = crate::gate_config::with_normal_priority(gate);
    format!(
        "[social]\nname = \"bureau\"\nsource = \"core\"\n{exchange}\
         [signing]\nseed = {{ file = \"keys/bureau/sign.seed\" }}\n\
         [trust.receipts]\ninsurer-a = [\"{receipts}\"]\n\
         [source]\n{source}\n[gate]\n{gate}\n[publisher]\nquantum_rows = 4000\n\
         [health]\nlisten = \"127.0.0.1:0\"\naddr_file = \"{name}.addr\"\n{feeds}"
    )
}

pub(super) fn commercial(exchange: &str, chunks: &str, store: &str, name: &str) -> String {
    format!(
        "[commercial]\nrecipient = \"insurer-a\"\n{exchange}\
         [signing]\nseed = {{ file = \"keys/insurer-a/sign.seed\" }}\n\
         [trust]\nchunks = [\"{chunks}\"]\n[store]\n{store}\n[poll]\ninterval = \"300ms\"\n\
         [health]\nlisten = \"127.0.0.1:0\"\naddr_file = \"{name}.addr\"\n"
    )
}

pub(super) fn auditor(exchange: &str, bureau: &str, insurer: &str) -> String {
    format!(
        "{exchange}[trust]\nchunks = [\"{bureau}\"]\nreceipts = [\"{insurer}\"]\nentries = [\"{bureau}\"]\n"
    )
}

pub(super) const OPEN: &str = "mode = \"open\"";

/// The feed of the table of [`claims`](super::claims).
pub(super) const CLAIM: &str = "[[feed]]\nname = \"claim\"\n\
     sql = \"SELECT id, updated_at, deleted, name, amount, memo FROM claim\"\n\
     cursor = [\"updated_at\", \"id\"]\ncursor_set_by = \"transaction\"\nlag = \"500ms\"\n\
     key = [\"id\"]\nmoney = [\"amount\"]\ntombstone = \"deleted\"\nrecipients = [\"insurer-a\"]\n";
