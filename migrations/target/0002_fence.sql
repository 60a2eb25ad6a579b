-- The fence on PostgreSQL: a trigger of every table calls this until the deciding commit. Our own
-- sessions say who they are; any role may set a setting of its own, so a plain owner is enough.
CREATE FUNCTION switchback.refuse_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('switchback.session', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'switchback: SQLite is the active engine of this database'
        USING ERRCODE = '25006',
              HINT = 'Writes are taken here after the cutover; see `switchback status`.';
END
$$;
