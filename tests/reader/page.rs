//! docs/gateway.md: its table of problems has every kind, as the program answers it.

use std::collections::BTreeMap;
use std::fs;

use harness::workspace;
use web::interface::problem::ProblemKind;

#[test]
fn gateway_page_has_each_problem_as_it_is_answered() {
    let page = fs::read_to_string(workspace().join("docs/gateway.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let status: u16 = cells.first()?.parse().ok()?;
        let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((
            name.to_owned(),
            (status, cells.get(2)?.to_string(), cells.get(3)?.to_string()),
        ))
    });
    let documented: BTreeMap<String, (u16, String, String)> = rows.collect();
    let answered: BTreeMap<String, (u16, String, String)> = ProblemKind::all()
        .map(|kind| {
            let row = (kind.status(), kind.title().to_owned(), kind.remedy().to_owned());
            (kind.name().to_owned(), row)
        })
        .collect();
    assert_eq!(documented, answered);
}
