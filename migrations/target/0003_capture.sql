-- Following a source that applications write to.

ALTER TABLE switchback.control
    -- Newest entry of the source's change log that is applied; NULL before the copy.
    ADD COLUMN applied bigint,
    -- The source's beat at that time: a file with a lower one is older than what was applied.
    ADD COLUMN beat bigint NOT NULL DEFAULT 0,
    -- The source's PRAGMA schema_version at that time: VACUUM raises it.
    ADD COLUMN source_version bigint NOT NULL DEFAULT 0,
    -- The source's schema and the request as JSON: with the plan, all that another server needs.
    ADD COLUMN source_schema text NOT NULL DEFAULT '',
    ADD COLUMN request text NOT NULL DEFAULT '',
    -- Id of the server that coordinates, where it runs, and until when the others wait. What
    -- any other server writes is refused.
    ADD COLUMN holder text NOT NULL DEFAULT '',
    ADD COLUMN holder_name text NOT NULL DEFAULT '',
    ADD COLUMN lease_until timestamp with time zone NOT NULL DEFAULT '-infinity';

ALTER TABLE switchback.rejects
    -- The exact key, as the change log has it: a JSON array of tagged values.
    ADD COLUMN exact_key bytea;

CREATE INDEX rejects_by_key ON switchback.rejects (database, tab, exact_key);
