-- What Switchback knows of itself inside a SQLite file: one row, as long as a migration lasts.
CREATE TABLE _switchback (
    id INTEGER PRIMARY KEY,
    -- Id of the migration: a UUID.
    migration TEXT NOT NULL,
    -- 1 while every table refuses writes.
    fenced INTEGER NOT NULL,
    -- The switch attempt that raised the fence last.
    attempt INTEGER NOT NULL,
    -- Rises with each batch that is carried over: an older copy of the file has a lower one.
    beat INTEGER NOT NULL,
    -- BLAKE3 over the schema, ours included, as it was when ours was last changed.
    schema_hash TEXT NOT NULL,
    -- Version of what Switchback has put into the file.
    format INTEGER NOT NULL
);
