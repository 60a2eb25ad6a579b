-- The control database: what a server knows across restarts.

-- One row a configured database. A cache of the decision that PostgreSQL records.
CREATE TABLE databases (
    name TEXT NOT NULL PRIMARY KEY,
    active_engine TEXT NOT NULL CHECK (active_engine IN ('sqlite', 'postgres')),
    epoch INTEGER NOT NULL,
    phase TEXT NOT NULL
) STRICT;

CREATE TABLE operations (
    id TEXT NOT NULL PRIMARY KEY,
    database TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled')),
    phase TEXT NOT NULL,
    request_id TEXT NOT NULL,
    -- The request as JSON: a restart runs the operation again from it.
    request TEXT NOT NULL,
    -- The resume record as JSON: what an operation has settled and must not settle again.
    journal TEXT NOT NULL DEFAULT '',
    error_reason TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    error_hint TEXT NOT NULL DEFAULT '',
    -- Milliseconds since 1970, UTC.
    created_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;

CREATE UNIQUE INDEX operations_request ON operations (database, request_id) WHERE request_id <> '';
CREATE INDEX operations_running ON operations (database) WHERE state = 'running';

CREATE TABLE events (
    operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    -- Progress that a newer event overtakes is removed when the operation ends.
    transient INTEGER NOT NULL,
    -- switchback.v1.OperationEvent.
    event BLOB NOT NULL,
    PRIMARY KEY (operation_id, sequence)
) STRICT, WITHOUT ROWID;
