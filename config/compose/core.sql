-- The core of compose.yml: the table of config/social.toml, and the read-only account of the bureau's agent.
-- `psql` runs it once, when the volume is new.

CREATE TABLE setl (
  setl_id text PRIMARY KEY,
  mdtrt_id text NOT NULL,
  psn_no text NOT NULL,
  medfee_sumamt numeric(16,2) NOT NULL,
  fund_pay_sumamt numeric(16,2) NOT NULL,
  setl_time timestamptz NOT NULL,
  updt_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON setl (updt_time, setl_id);
INSERT INTO setl
SELECT 'S' || g, 'M' || g, 'P' || g % 1000, g % 10000 / 100.0 + 50, g % 10000 / 100.0, now(), now()
FROM generate_series(1, 20000) g;

\set password `cat /run/secrets/core_reader_password`
CREATE ROLE slacktide_reader LOGIN PASSWORD :'password';
GRANT SELECT ON setl TO slacktide_reader;
GRANT pg_read_all_stats TO slacktide_reader;
