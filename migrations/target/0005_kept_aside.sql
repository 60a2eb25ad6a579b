-- Rows that SQLite cannot hold, while changes are carried back with lenient guards.

CREATE TABLE switchback.kept_aside (
    -- A key may be longer than an entry of an index: a batch removes those of its keys before it
    -- adds any.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database text NOT NULL,
    -- The migration, and the epoch in which PostgreSQL was active: what a rollback has left behind
    -- outlives both.
    migration text NOT NULL,
    epoch bigint NOT NULL,
    -- Number and key of the row, as the change log has them.
    tab integer NOT NULL,
    key bytea[] NOT NULL,
    -- Name of the table in the source, and "id=7", "rowid=12".
    source_table text NOT NULL,
    row_key text NOT NULL,
    -- value: the column holds what SQLite would change. constraint: SQLite has another row in its
    -- place, or a rule that the row breaks.
    why text NOT NULL CHECK (why IN ('value', 'constraint')),
    -- Name in the target; empty for a constraint.
    column_name text NOT NULL,
    -- Object of column name and value, each as PostgreSQL writes it as text.
    row_text json NOT NULL,
    kept_at timestamp with time zone NOT NULL DEFAULT now(),
    -- A rollback has decided without it: this is the only copy once PostgreSQL follows again.
    left_behind boolean NOT NULL DEFAULT false
);

CREATE INDEX kept_aside_by_table ON switchback.kept_aside (database, tab);

ALTER TABLE switchback.returned
    -- The epoch that began with the switch to PostgreSQL.
    ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

UPDATE switchback.returned SET epoch = control.epoch
FROM switchback.control WHERE control.database = returned.database;
