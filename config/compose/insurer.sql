-- The insurer's database of compose.yml: the account of the insurer's agents. They make their tables themselves.
-- `psql` runs it once, when the volume is new.

\set password `cat /run/secrets/insurer_writer_password`
CREATE ROLE slacktide_writer LOGIN PASSWORD :'password';
GRANT CREATE ON DATABASE insurer TO slacktide_writer;
GRANT CREATE, USAGE ON SCHEMA public TO slacktide_writer;
