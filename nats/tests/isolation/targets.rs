//! Subjects that no party may reach, and what it would send there.

/// Something that the server is to write, or to execute.
pub(super) struct Target {
    /// Where its answer is to go.
    pub(super) subject: String,
    /// What the answer would have to be, where the bytes matter.
    pub(super) body: String,
}

/// Every target for an attacker with this name.
pub(super) fn targets(attacker: &str) -> Vec<Target> {
    let mut all = Vec::new();
    let mut add = |subject: String, body: &str| {
        all.push(Target {
            subject,
            body: body.to_owned(),
        });
    };
    // Messages of others.
    for subject in [
        "data.insurer-a.setl",
        "data.insurer-b.setl",
        "data.insurer-b.fresh",
        "control.bureau",
        "control.insurer-a",
        "control.insurer-b",
        "status.bureau.social",
        "status.insurer-b.commercial",
        "watch.bureau",
        "watch.insurer-b",
        "lease.core",
        "lease.fresh",
        "audit.bureau.operator",
        "audit.insurer-a.operator",
        "audit.insurer-b.operator",
        "reply.insurer-b.20260131-fresh000",
        "part.insurer-b.20260131-fresh000.1.1",
        "progress.insurer-b.20260131-fresh000",
        "approval.insurer-b.20260131-fresh000.li_na",
        "request.insurer-b.20260131-fresh000",
        "cancel.insurer-b.20260131-fresh000",
        "confirm.insurer-b.20260131-fresh000",
        "receipt.insurer-b.setl",
    ] {
        add(subject.to_owned(), "{}");
    }
    // Inboxes of others.
    for other in ["admin", "bureau", "auditor", "insurer-a", "insurer-b"] {
        if other != attacker {
            add(format!("_INBOX_{other}.stolen"), "{}");
        }
    }
    // Orders to the server, under each name that its API has.
    let consumer = r#"{"stream_name":"DATA_insurer-b","config":{"durable_name":"stolen","deliver_subject":"_INBOX_auditor.stolen","ack_policy":"none","filter_subject":"data.>"}}"#;
    let stream = r#"{"name":"STOLEN","subjects":["stolen.>"],"storage":"file"}"#;
    let update =
        r#"{"name":"DATA_insurer-b","subjects":["data.insurer-b.*"],"storage":"file","max_bytes":1}"#;
    for prefix in ["$JS.API", "JS.hub.API"] {
        for (verb, body) in [
            ("STREAM.PURGE.DATA_insurer-b", ""),
            ("STREAM.PURGE.CONTROL_bureau", ""),
            ("STREAM.PURGE.AUDIT_bureau", "{}"),
            ("STREAM.DELETE.RECEIPTS_insurer-b", ""),
            ("STREAM.DELETE.LEASES", ""),
            ("STREAM.CREATE.STOLEN", stream),
            ("STREAM.UPDATE.DATA_insurer-b", update),
            ("STREAM.MSG.DELETE.AUDIT_insurer-b", r#"{"seq":1}"#),
            ("CONSUMER.CREATE.DATA_insurer-b", consumer),
            ("CONSUMER.CREATE.DATA_insurer-b.stolen.data.>", consumer),
            ("CONSUMER.DURABLE.CREATE.DATA_insurer-b.stolen", consumer),
            ("CONSUMER.DELETE.DATA_insurer-b.insurer-b", ""),
            (
                "CONSUMER.PAUSE.DATA_insurer-b.insurer-b",
                r#"{"pause_until":"2099-01-01T00:00:00Z"}"#,
            ),
            ("CONSUMER.RESET.DATA_insurer-b.insurer-b", r#"{"seq":1}"#),
            (
                "CONSUMER.MSG.NEXT.DATA_insurer-b.insurer-b",
                r#"{"batch":1,"no_wait":true}"#,
            ),
            ("CONSUMER.UNPIN.DATA_insurer-b.insurer-b", "{}"),
        ] {
            add(format!("{prefix}.{verb}"), body);
        }
    }
    // Acknowledgements of what another consumer delivered, and what the server keeps for itself.
    for consumer in ["insurer-a", "insurer-b"]
        .into_iter()
        .filter(|name| *name != attacker)
    {
        for sequence in 1..=4 {
            for form in forms(
                &format!("DATA_{consumer}"),
                consumer,
                &format!("1.{sequence}.1.1700000000000000001.0"),
            ) {
                add(form, "+TERM");
            }
        }
    }
    for subject in [
        "$JS.FC.DATA_insurer-b.insurer-b.1.1",
        "$JS.SNAPSHOT.RESTORE.DATA_insurer-b.stolen",
        "$JS.EVENT.ADVISORY.STREAM.DELETED.DATA_insurer-b",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.ACCOUNT.HUB.CONNZ",
        "$SYS.ACCOUNT.HUB.CONNECT",
        "$SYS._INBOX.stolen",
        "_R_.stolen",
        "$GNR.stolen",
        "$NRG.V.stolen",
    ] {
        add(subject.to_owned(), "{}");
    }
    all
}

/// The forms of an acknowledgement subject, and those that only a wildcard would take for one.
pub(super) fn forms(stream: &str, consumer: &str, rest: &str) -> Vec<String> {
    let hash = "LNj1UmbN";
    vec![
        format!("$JS.ACK.{stream}.{consumer}.{rest}"),
        format!("$JS.ACK._.{hash}.{stream}.{consumer}.{rest}"),
        format!("$JS.ACK._.{hash}.{stream}.{consumer}.{rest}.more"),
    ]
}
