-- Why a halted database is halted: the finding as JSON; empty where it is not.
ALTER TABLE databases ADD COLUMN halted_by TEXT NOT NULL DEFAULT '';
