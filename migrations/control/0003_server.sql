-- Who this server is, for others on the same pair: one row, as old as the state directory.
CREATE TABLE server (
    id TEXT NOT NULL
) STRICT;
