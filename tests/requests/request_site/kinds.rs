//! The kinds of requests that the bureau accepts.

pub(crate) const KINDS: &str = r#"
[[kind]]
name = "claim.by_person"
sql = "SELECT id, psn_no, psn_name, day, amount, secret FROM claim WHERE psn_no = $1 AND day BETWEEN $2 AND $3"
arguments = [
  { name = "psn_no", type = "text", max = 80, person = true },
  { name = "from", type = "date", period = "begin" },
  { name = "to", type = "date", period = "end" },
]
order = ["id"]
money = ["amount"]
person = ["psn_no"]
feeds = ["claim"]
max_rows = 1000
max_period = "366d"
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01", "02"] }
columns = ["id", "psn_no", "psn_name", "day", "amount"]
masks = { psn_name = { keep = { first = 1 } } }
[[kind.grant]]
recipient = "insurer-b"
purposes = { "01" = ["01"] }
columns = ["id", "psn_no", "day", "amount"]
masks = { psn_no = "token" }

[[kind]]
name = "claim.day"
sql = "SELECT day, count(*) AS claims, sum(amount) AS total FROM claim WHERE day = $1 GROUP BY day"
arguments = [{ name = "day", type = "date" }]
money = ["total"]
anonymous = true
feeds = ["claim"]
max_rows = 10
priority = "urgent"
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"], "02" = ["01"] }
columns = ["day", "claims", "total"]
[[kind.grant]]
recipient = "insurer-b"
purposes = { "01" = ["01"] }
columns = ["day", "claims", "total"]

[[kind]]
name = "claim.over"
sql = "SELECT id, day, amount, psn_no FROM claim WHERE amount > $1 AND id % $2 = 0"
arguments = [{ name = "amount", type = "decimal" }, { name = "each", type = "integer" }]
order = ["id"]
money = ["amount"]
person = ["psn_no"]
feeds = ["claim"]
max_rows = 2000000
priority = "bulk"
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id", "day", "amount"]

[[kind]]
name = "claim.signed"
sql = "SELECT id, amount, psn_no FROM claim WHERE id = $1"
arguments = [{ name = "id", type = "integer" }]
order = ["id"]
money = ["amount"]
person = ["psn_no"]
feeds = ["claim"]
max_rows = 1
approval = { officers = 2, within = "1d" }
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id", "amount"]
"#;
