-- Reverse replication: what applications change here is carried back to SQLite.

CREATE TABLE switchback.change_log (
    database text NOT NULL,
    -- Number of the table, as in the source's change log.
    tab integer NOT NULL,
    -- Fields of the key as their types send them; NULL where the whole table is to be carried back.
    key bytea[],
    -- The transaction: whoever has carried back all that a snapshot shows needs none from before.
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE INDEX change_log_by_xid ON switchback.change_log (database, xid);

-- Row triggers do not see it.
CREATE FUNCTION switchback.refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'switchback: TRUNCATE cannot be carried back to SQLite'
        USING ERRCODE = '0A000',
              HINT = 'Use DELETE until the migration is finalized (`switchback finalize`).';
END
$$;

-- A value that SQLite would change. The arguments are the column and why.
CREATE FUNCTION switchback.refuse_value() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'switchback: SQLite cannot hold this value of %.%: it is or holds %',
            TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[1]
        USING ERRCODE = '23514', COLUMN = TG_ARGV[0], TABLE = TG_TABLE_NAME,
              SCHEMA = TG_TABLE_SCHEMA,
              HINT = 'What is written here must be able to go back until the migration is finalized (`switchback finalize`).';
END
$$;

-- How far the source is. Not in the control row: whoever renews the lease there would be in the way.
CREATE TABLE switchback.returned (
    database text PRIMARY KEY,
    -- The source's beat by the last change that was carried back: a file with a lower one is older.
    beat bigint NOT NULL,
    -- The source's PRAGMA schema_version at that time: VACUUM raises it.
    source_version bigint NOT NULL,
    -- Changes carried back since the last switch, and when the last ones were.
    changes bigint NOT NULL DEFAULT 0,
    carried_at timestamp with time zone NOT NULL DEFAULT now(),
    -- Object of table and hash of its columns: DDL changes rows and fires no trigger.
    shapes jsonb NOT NULL
);
