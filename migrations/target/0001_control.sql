-- Switchback's own tables in PostgreSQL. Everything is keyed by the name of the database, so
-- that several databases can share one PostgreSQL database.

CREATE TABLE switchback.control (
    database text PRIMARY KEY,
    -- Id of the migration: a UUID.
    migration text NOT NULL,
    -- Version of what is recorded here.
    format integer NOT NULL,
    -- Phase that the migration has reached, as a word.
    phase text NOT NULL,
    -- none, pending, pg, sqlite or aborted: which engine the last switch decided for.
    decision text NOT NULL,
    -- Engine that applications write to: sqlite or postgres.
    active text NOT NULL,
    -- Number of switches so far.
    epoch bigint NOT NULL,
    -- Counts the coordinators; the highest is the only one that may go on.
    attempt bigint NOT NULL,
    -- The plan as JSON.
    plan text NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now()
);

-- How far the copy of a table is. A row is written in the transaction of the chunk.
CREATE TABLE switchback.copy_position (
    database text NOT NULL,
    -- Name in the source.
    tab text NOT NULL,
    -- Key of the last row of the last chunk; NULL before the first.
    position bytea,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    rejected bigint NOT NULL,
    done boolean NOT NULL,
    PRIMARY KEY (database, tab)
);

-- Rows that the target cannot hold, exactly as they were.
CREATE TABLE switchback.rejects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database text NOT NULL,
    tab text NOT NULL,
    -- "id=7", "rowid=12".
    row_key text NOT NULL,
    -- First column whose value was refused, and why.
    column_name text NOT NULL,
    reason text NOT NULL,
    -- Object of column name and tagged value ("i:5", "t:hello", …), from which the row can be
    -- made again; docs/type-mapping.md describes the tags.
    row_data json NOT NULL,
    rejected_at timestamp with time zone NOT NULL DEFAULT now()
);

CREATE INDEX rejects_by_table ON switchback.rejects (database, tab);

-- What was made, written in the transaction that made it. Cleaning up drops this and nothing
-- else.
CREATE TABLE switchback.steps (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database text NOT NULL,
    step text NOT NULL,
    -- schema, table, view or foreign_key; empty for what goes with its table.
    kind text NOT NULL,
    namespace text NOT NULL,
    relation text NOT NULL,
    -- Name of the constraint.
    name text NOT NULL,
    done_at timestamp with time zone NOT NULL DEFAULT now(),
    UNIQUE (database, step)
);
