//! The commands that a text of the product names as a remedy. PURE.

/// A command that an operator carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remedy {
    /// `feed refill --from …` at the insurer.
    Refill(String),
    /// `store accept --feed …` at the insurer: the rows.
    AcceptRows,
    /// `store accept` at the insurer: the store.
    AcceptStore,
    /// `feed resync` at the bureau.
    Resync,
    /// `feed rewind --from …` at the bureau.
    Rewind(String),
    /// `orders confirm` at the bureau.
    Confirm,
}

impl Remedy {
    pub(super) fn is_of_insurer(&self) -> bool {
        matches!(self, Self::Refill(_) | Self::AcceptRows | Self::AcceptStore)
    }

    pub(super) fn is_of_bureau(&self) -> bool {
        !self.is_of_insurer()
    }
}

/// Returns the commands that a remedy names, in its order. Where it refers to the message, they are in the cause.
pub(super) fn remedies(remedy: &str, why: &str) -> Vec<Remedy> {
    let text = if remedy.contains("follow the message") {
        why
    } else {
        remedy
    };
    text.split("slacktide ")
        .skip(1)
        .filter_map(|rest| {
            let end = rest.find(['`', ';', ',', ')', '\n']).unwrap_or(rest.len());
            command(&rest[..end])
        })
        .collect()
}

fn command(words: &str) -> Option<Remedy> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let option = |name: &str| {
        let place = words.iter().position(|word| *word == name)?;
        Some((*words.get(place + 1)?).to_owned())
    };
    // Where the text leaves it open, docs/operate.md begins at the receipt.
    let from = || option("--from").unwrap_or_else(|| "receipt".to_owned());
    match words.get(..2)? {
        ["feed", "refill"] => Some(Remedy::Refill(from())),
        ["feed", "resync"] => Some(Remedy::Resync),
        ["feed", "rewind"] => Some(Remedy::Rewind(from())),
        ["orders", "confirm"] => Some(Remedy::Confirm),
        ["store", "accept"] if words.contains(&"--feed") => Some(Remedy::AcceptRows),
        ["store", "accept"] => Some(Remedy::AcceptStore),
        _ => None,
    }
}

#[test]
fn remedy_commands_are_read_in_order() {
    let receipt = || "receipt".to_owned();
    let source = "find out what happened to it, then accept it: if rows may be gone, with `slacktide feed resync FEED --recipient R`, \
                  which sends everything again; otherwise with `slacktide feed rewind … --accept-source`, which continues";
    assert_eq!(remedies(source, ""), [Remedy::Resync, Remedy::Rewind(receipt())]);
    let rows = "store them again: slacktide feed refill claim --from start --config FILE; or, where they were deleted on purpose: \
                slacktide store accept --feed claim --actor NAME --reason TEXT --config FILE";
    let start = Remedy::Refill("start".to_owned());
    assert_eq!(remedies(rows, ""), [start, Remedy::AcceptRows]);
    let orders = "then confirm: slacktide orders confirm --record none --reason TEXT";
    assert_eq!(remedies(orders, ""), [Remedy::Confirm]);
    let other = "nothing is fetched; where this one takes its place: slacktide store accept --actor NAME --reason TEXT";
    assert_eq!(remedies("follow the message", other), [Remedy::AcceptStore]);
    assert_eq!(
        remedies("the receiver's operator must act: `slacktide status` there", ""),
        []
    );
}
