//! Changes to bytes and to trees of JSON.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value as Json;

/// A change to bytes.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    // MessagePack headers of large values are tried more often than once in 256.
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(&[0xc6_u8, 0xdb, 0xdd, 0xdf, 0xc9, 0x94, 0xff, 0x00, 0x7b, 0x5b][..])
    ];
    prop_oneof![
        4 => (any::<Index>(), byte).prop_map(|(at, byte)| Change::Set(at, byte)),
        4 => (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (any::<Index>(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (any::<Index>(), 1_usize..40).prop_map(|(at, many)| Change::Remove(at, many)),
        1 => (any::<Index>(), 1_usize..40).prop_map(|(at, many)| Change::Repeat(at, many)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

pub(crate) fn changed(bytes: &mut Vec<u8>, changes: &[Change]) {
    for change in changes {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match change {
            Change::Set(at, byte) => bytes[at.index(len)] = *byte,
            Change::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Change::Insert(at, new) => drop(bytes.splice(at.index(len)..at.index(len), new.iter().copied())),
            Change::Remove(at, many) => drop(bytes.drain(at.index(len)..(at.index(len) + many).min(len))),
            Change::Repeat(at, many) => {
                let part = bytes[at.index(len)..(at.index(len) + many).min(len)].to_vec();
                bytes.splice(at.index(len)..at.index(len), part);
            }
            Change::Cut(at) => bytes.truncate(at.index(len)),
        }
    }
}

/// Any JSON, including numbers that overflow arithmetic.
pub(crate) fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::from),
        prop::sample::select(vec![0_u64, 1, u64::MAX, 1 << 63, 4_294_967_295, 3_000_001])
            .prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,20}".prop_map(Json::from),
        prop::sample::select(
            &[
                "",
                "id",
                "zstd",
                "none",
                "amount",
                "gone",
                "infinity",
                "2026-01-31T22:15:00Z",
                "int8",
                "any",
                "1e999999999",
                "-9999-01-01T00:00:00Z"
            ][..]
        )
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::Array),
            vec((".{0,8}", inner), 0..4).prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

/// Replaces, removes or duplicates one part of a tree.
pub(crate) fn tampered(tree: &mut Json, at: &Index, new: &Json, how: u8) {
    let total = parts(tree);
    let mut index = at.index(total);
    visit(tree, &mut index, &mut |part| match (how, &mut *part) {
        (0, Json::Object(fields)) => {
            let name = fields.keys().next().cloned().unwrap_or_default();
            fields.remove(&name);
        }
        (0 | 1, Json::Array(items)) => items.extend(items.clone()),
        _ => *part = new.clone(),
    });
}

fn parts(tree: &Json) -> usize {
    1 + match tree {
        Json::Array(items) => items.iter().map(parts).sum(),
        Json::Object(fields) => fields.values().map(parts).sum(),
        _ => 0,
    }
}

fn visit(tree: &mut Json, index: &mut usize, change: &mut impl FnMut(&mut Json)) -> bool {
    if *index == 0 {
        change(tree);
        return true;
    }
    *index -= 1;
    match tree {
        Json::Array(items) => items.iter_mut().any(|item| visit(item, index, change)),
        Json::Object(fields) => fields.values_mut().any(|field| visit(field, index, change)),
        _ => false,
    }
}
