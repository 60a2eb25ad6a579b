-- While PostgreSQL is active: until when everything that it acknowledged is in SQLite, in
-- milliseconds since 1970, UTC.
ALTER TABLE databases ADD COLUMN carried_until INTEGER;
-- The migration whose PostgreSQL was given up, so that it is not active when it comes back.
ALTER TABLE databases ADD COLUMN given_up TEXT NOT NULL DEFAULT '';
