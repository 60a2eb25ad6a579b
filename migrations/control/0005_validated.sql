-- When both engines were last compared and found equal, in milliseconds since 1970, UTC.
ALTER TABLE databases ADD COLUMN validated_at INTEGER;
