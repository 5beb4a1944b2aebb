//! The modules of a crate and the uses between them, from its source text.
//!
//! A module is a file; modules inside a file belong to it. Counted are `use` declarations and the paths of expressions and
//! types, also inside macros. A name that a module re-exports or imports is followed to the module that defines it. What
//! is compiled for tests only does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::graph::{Graph, Module};

/// The uses in the source of one file.
#[derive(Default)]
struct File {
    /// Names that `use` declarations import, with their paths; `*` for all.
    imports: Vec<(Module, Vec<String>, String)>,
    /// Other paths of two or more names, each with the module that contains it.
    paths: Vec<(Module, Vec<String>)>,
    /// Every first name of a path, to which a `*` import may apply.
    names: BTreeSet<String>,
}

/// Returns the uses between the modules of the crate with this root file.
pub(super) fn graph(root: &Path) -> Graph {
    let mut files = BTreeMap::new();
    let folder = root.parent().expect("a file has a folder");
    load(root, &Vec::new(), folder, &mut files);
    uses(&files)
}

fn load(path: &Path, module: &Module, folder: &Path, files: &mut BTreeMap<Module, File>) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tokens = tokens(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (file, children) = parse(&tokens, module);
    files.insert(module.clone(), file);
    for name in children {
        let mut child = module.clone();
        child.push(name.clone());
        load(
            &folder.join(format!("{name}.rs")),
            &child,
            &folder.join(&name),
            files,
        );
    }
}

/// Returns the tokens without literals; a path separator is one token.
fn tokens(text: &str) -> Result<Vec<String>, proc_macro2::LexError> {
    let mut tokens = Vec::new();
    flatten(TokenStream::from_str(text)?, &mut tokens);
    Ok(without_tests(&tokens))
}

fn flatten(stream: TokenStream, tokens: &mut Vec<String>) {
    let mut is_after_colon = false;
    for tree in stream {
        let is_colon = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == ':');
        match tree {
            TokenTree::Ident(ident) => tokens.push(ident.to_string()),
            TokenTree::Punct(_) if is_colon && is_after_colon => {
                tokens.pop();
                tokens.push("::".to_owned());
                is_after_colon = false;
                continue;
            }
            TokenTree::Punct(punct) => tokens.push(punct.as_char().to_string()),
            TokenTree::Literal(_) => {}
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(open.to_owned());
                flatten(group.stream(), tokens);
                tokens.push(close.to_owned());
            }
        }
        is_after_colon = is_colon;
    }
}

const FOR_TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Removes each item, field or statement that is compiled for tests only.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        if rest.len() < FOR_TESTS.len() || !rest.iter().zip(FOR_TESTS).all(|(one, other)| one == other) {
            kept.push(first.clone());
            rest = after;
            continue;
        }
        rest = &rest[FOR_TESTS.len()..];
        while rest.first().is_some_and(|token| token == "#") {
            rest = &rest[1 + group_length(&rest[1..])..];
        }
        rest = &rest[item_length(rest)..];
    }
    kept
}

/// Returns the number of tokens of the group that begins here.
fn group_length(tokens: &[String]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Returns the number of tokens of the item that begins here: up to its `;`, `,` or block.
fn item_length(tokens: &[String]) -> usize {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "{" => return at + group_length(&tokens[at..]),
            "[" | "(" => at += group_length(&tokens[at..]),
            ";" | "," => return at + 1,
            "}" | "]" | ")" => return at,
            _ => at += 1,
        }
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Returns what a file uses, and the names of its child modules that are files.
fn parse(tokens: &[String], module: &Module) -> (File, Vec<String>) {
    let mut file = File::default();
    let mut children = Vec::new();
    // The inline modules around a token, each with the depth of its block.
    let mut inline: Vec<(usize, Module)> = Vec::new();
    let (mut depth, mut at) = (0, 0);
    while let Some(token) = tokens.get(at) {
        let here = inline.last().map_or(module, |(_, module)| module).clone();
        let next = |ahead: usize| tokens.get(at + ahead).map(String::as_str);
        let last = at.checked_sub(1).map(|before| tokens[before].as_str());
        match token.as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last().is_some_and(|(at, _)| *at == depth) {
                    inline.pop();
                }
            }
            "mod" if next(2) == Some(";") => children.extend(next(1).map(str::to_owned)),
            "mod" if next(2) == Some("{") => {
                let mut inner = here;
                inner.extend(next(1).map(str::to_owned));
                inline.push((depth, inner));
                at += 1;
            }
            // Not the `use<'a>` of a type.
            "use" if next(1) != Some("<") => {
                at = use_tree(tokens, at + 1, &[], &mut |path, name| {
                    file.imports.push((here.clone(), path, name));
                });
                continue;
            }
            name if is_name(name) && !matches!(last, Some("::" | ".")) => {
                let mut path = vec![name.to_owned()];
                while let (Some("::"), Some(name)) = (next(path.len() * 2 - 1), next(path.len() * 2))
                    && is_name(name)
                {
                    path.push(name.to_owned());
                }
                file.names.insert(name.to_owned());
                at += path.len() * 2 - 1;
                if path.len() > 1 {
                    file.paths.push((here, path));
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    (file, children)
}

/// Adds the names of a `use` tree that begins here; returns the index after it.
fn use_tree(
    tokens: &[String],
    begin: usize,
    prefix: &[String],
    add: &mut dyn FnMut(Vec<String>, String),
) -> usize {
    let mut path = prefix.to_vec();
    let mut at = begin;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = use_tree(tokens, at, &path, add);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            "*" => {
                add(path, "*".to_owned());
                return at + 1;
            }
            name => {
                path.push(name.to_owned());
                at += 1;
                if tokens.get(at).is_some_and(|token| token == "::") {
                    continue;
                }
                let mut alias = name.to_owned();
                if path.len() > 1 && name == "self" {
                    path.pop();
                    alias = path.last().cloned().unwrap_or_default();
                }
                if tokens.get(at).is_some_and(|token| token == "as") {
                    alias = tokens.get(at + 1).cloned().unwrap_or_default();
                    at += 2;
                }
                add(path, alias);
                return at;
            }
        }
    }
    at
}

/// Maximum number of re-exports that are followed for one name.
const MAX_RE_EXPORTS: usize = 8;

/// Returns the module of a path's last known part; `None` for a path into another crate.
fn resolve(
    files: &BTreeMap<Module, File>,
    here: &Module,
    path: &[String],
    re_exports: usize,
) -> Option<Module> {
    let (mut base, mut rest) = match path.split_first()? {
        (first, rest) if first == "crate" => (Vec::new(), rest),
        (first, rest) if first == "self" => (here.clone(), rest),
        (first, _) if first == "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            (here[..here.len().checked_sub(up)?].to_vec(), &path[up..])
        }
        (first, _) => {
            let mut child = here.clone();
            child.push(first.clone());
            files.contains_key(&child).then(|| (here.clone(), path))?
        }
    };
    // A module inside a file belongs to the file.
    while !files.contains_key(&base) {
        base.pop();
    }
    while let Some((name, after)) = rest.split_first() {
        let mut child = base.clone();
        child.push(name.clone());
        if !files.contains_key(&child) {
            break;
        }
        (base, rest) = (child, after);
    }
    let imported = rest
        .first()
        .filter(|_| re_exports < MAX_RE_EXPORTS)
        .and_then(|name| {
            let mut imports = files[&base].imports.iter().filter(|(_, _, alias)| alias == name);
            imports.find_map(|(here, path, _)| resolve(files, here, path, re_exports + 1))
        });
    Some(imported.unwrap_or(base))
}

fn uses(files: &BTreeMap<Module, File>) -> Graph {
    let mut graph = Graph::new();
    for (module, file) in files {
        let uses = graph.entry(module.clone()).or_default();
        let imports = file.imports.iter().map(|(here, path, _)| (here, path));
        for (here, path) in imports.chain(file.paths.iter().map(|(here, path)| (here, path))) {
            if let Some(to) = resolve(files, here, path, 0) {
                uses.entry(to).or_insert_with(|| path.join("::"));
            }
        }
        for (here, path, _) in file.imports.iter().filter(|(_, _, alias)| alias == "*") {
            let Some(from) = resolve(files, here, path, 0) else {
                continue;
            };
            let known = files[&from].imports.iter();
            for (here, path, alias) in known.filter(|(_, _, alias)| file.names.contains(alias)) {
                if let Some(to) = resolve(files, here, path, 0) {
                    uses.entry(to).or_insert_with(|| format!("* ({alias})"));
                }
            }
        }
        uses.remove(module);
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// Returns the uses as `from>to`, of files that are written into a new folder.
    fn used(files: &[(&str, &str)]) -> Result<Vec<String>, std::io::Error> {
        let folder = tempfile::tempdir()?;
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            std::fs::write(path, text)?;
        }
        let graph = graph(&folder.path().join("lib.rs"));
        Ok(graph
            .into_iter()
            .flat_map(|(from, to)| {
                let from = from.join("::");
                to.into_keys().map(move |to| format!("{from}>{}", to.join("::")))
            })
            .collect())
    }

    #[test]
    fn module_uses_are_found_in_every_form() -> Outcome {
        let uses = used(&[
            ("lib.rs", "mod a;\npub mod b;\nmod c;\nmod d;\npub use a::Thing;"),
            (
                "a.rs",
                "//! Text of crate::d::x.\nmod inner;\npub struct Thing; // crate::d\nconst TEXT: &str = \"crate::d\";",
            ),
            (
                "a/inner.rs",
                "use super::Thing;\nfn f<'a>(c: char) -> impl Sized + use<'a> { crate::b::f(); 'c' }",
            ),
            (
                "b.rs",
                "use crate::{Thing as Other, c::{self, *}};\nmod x { use super::super::d; }\n",
            ),
            (
                "c.rs",
                "pub use crate::d::Shown;\n#[cfg(test)]\nmod tests { use crate::a::Thing; }",
            ),
            (
                "d.rs",
                "macro_rules! m { () => { $crate::c::f() } }\nfn f() { println!(\"{}\", crate::a::inner::X); }",
            ),
        ])?;
        assert_eq!(
            uses,
            [
                ">a",
                "a::inner>a",
                "a::inner>b",
                "b>a",
                "b>c",
                "b>d",
                "c>d",
                "d>a::inner",
                "d>c"
            ]
        );
        Ok(())
    }

    #[test]
    fn module_use_of_a_re_export_leads_to_its_module() -> Outcome {
        let uses = used(&[
            ("lib.rs", "pub mod a;\nmod b;\nmod c;\npub use a::Name;"),
            ("a.rs", "mod inner;\npub use inner::Name;\nuse std::fmt;"),
            ("a/inner.rs", "pub struct Name;"),
            ("b.rs", "use crate::Name;\nuse fmt::Display;"),
            ("c.rs", "use crate::a::*;\nfn f(_: Name) {}"),
        ])?;
        assert_eq!(
            uses,
            [">a::inner", "a>a::inner", "b>a::inner", "c>a", "c>a::inner"]
        );
        Ok(())
    }
}
