-- What was taken off the tables of an existing schema, written in the transaction that takes it
-- off. Where no server comes back, a person makes it again: the statements in descending order of
-- seq.

CREATE TABLE switchback.set_aside (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database text NOT NULL,
    -- The migration: what could not be made again outlives it.
    migration text NOT NULL,
    namespace text NOT NULL,
    relation text NOT NULL,
    -- foreign_key, comment (of a foreign key), setting, trigger, check, index, unique or
    -- primary_key.
    kind text NOT NULL,
    -- Name of the constraint, the index or the trigger; a number for a setting.
    name text NOT NULL,
    -- The statement that makes it again.
    restore text NOT NULL,
    UNIQUE (database, migration, namespace, relation, kind, name)
);
