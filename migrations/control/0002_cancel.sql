-- A caller was told that the operation will be cancelled: a restart has to know.
ALTER TABLE operations ADD COLUMN cancel_requested INTEGER NOT NULL DEFAULT 0;
