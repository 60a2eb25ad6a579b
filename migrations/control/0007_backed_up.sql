-- When the newest backup was taken, in milliseconds since 1970, UTC.
ALTER TABLE databases ADD COLUMN backed_up_at INTEGER;
