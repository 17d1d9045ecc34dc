-- What the database itself refuses. Alembic does not compare triggers: tests/ledger/test_migrate.py does.

-- A revision begins in "receiving" with the next number of its case.
CREATE FUNCTION derm_pacs_revision_opens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'receiving' THEN
        RAISE EXCEPTION 'a revision opens in receiving, not in %', NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM revisions WHERE case_id = NEW.case_id) THEN
        RAISE EXCEPTION 'revision % does not follow the last of case %', NEW.number, NEW.case_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER revision_opens BEFORE INSERT ON revisions FOR EACH ROW EXECUTE FUNCTION derm_pacs_revision_opens();

-- A state changes only by a row of allowed_steps; id, case and number never change.
CREATE FUNCTION derm_pacs_revision_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NOT EXISTS (
        SELECT FROM allowed_steps WHERE from_state = OLD.state AND to_state = NEW.state
    ) THEN
        RAISE EXCEPTION 'a revision that is % cannot become %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.case_id <> OLD.case_id OR NEW.number <> OLD.number THEN
        RAISE EXCEPTION 'a revision keeps its case and its number' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER revision_steps BEFORE UPDATE OF state, case_id, number ON revisions
    FOR EACH ROW EXECUTE FUNCTION derm_pacs_revision_steps();

-- At the end of a transaction the newest event of a revision says the state that the revision is in.
CREATE FUNCTION derm_pacs_revision_told() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_in text := (SELECT state FROM revisions WHERE id = NEW.id);
BEGIN
    IF now_in IS DISTINCT FROM (SELECT to_state FROM events WHERE revision_id = NEW.id ORDER BY id DESC LIMIT 1) THEN
        RAISE EXCEPTION 'revision % became % without an event', NEW.id, now_in USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER revision_told AFTER INSERT OR UPDATE OF state ON revisions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION derm_pacs_revision_told();

-- What happened stays as it was written.
CREATE FUNCTION derm_pacs_only_appended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: rows are only appended', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER only_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION derm_pacs_only_appended();
