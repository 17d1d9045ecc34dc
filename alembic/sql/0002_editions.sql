-- Results in editions, what destinations agreed to, proofs, and what visits leave for the next;
-- derm_pacs/ledger/result_tables.py says what each is for.

CREATE TABLE agreements (
    destination TEXT NOT NULL,
    wanted_key TEXT NOT NULL,
    agreed_key TEXT NOT NULL,
    left_out JSONB NOT NULL,
    agreed_at timestamptz NOT NULL,
    CONSTRAINT agreements_pkey PRIMARY KEY (destination, wanted_key)
);

CREATE TABLE edition_objects (
    revision_id BIGINT NOT NULL,
    edition TEXT NOT NULL,
    result_id BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    CONSTRAINT edition_objects_pkey PRIMARY KEY (revision_id, edition, result_id),
    CONSTRAINT edition_objects_revision_id_edition_ordinal_key UNIQUE (revision_id, edition, ordinal),
    CONSTRAINT edition_objects_revision_id_fkey FOREIGN KEY (revision_id) REFERENCES revisions (id),
    CONSTRAINT edition_objects_result_id_fkey FOREIGN KEY (result_id) REFERENCES results (id)
);
CREATE INDEX edition_objects_result_id_idx ON edition_objects (result_id);

CREATE TABLE lesion_visits (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    revision_id BIGINT NOT NULL,
    tracking_uid TEXT NOT NULL,
    tracked BOOLEAN NOT NULL,
    site TEXT,
    laterality TEXT,
    study_date DATE,
    report JSONB NOT NULL,
    images JSONB NOT NULL,
    probabilities JSONB NOT NULL,
    area DOUBLE PRECISION,
    diameter DOUBLE PRECISION,
    share DOUBLE PRECISION,
    outlined_by JSONB NOT NULL,
    CONSTRAINT lesion_visits_pkey PRIMARY KEY (id),
    CONSTRAINT lesion_visits_revision_id_tracking_uid_key UNIQUE (revision_id, tracking_uid),
    CONSTRAINT lesion_visits_revision_id_fkey FOREIGN KEY (revision_id) REFERENCES revisions (id)
);

ALTER TABLE results DROP CONSTRAINT results_form_check;
ALTER TABLE results ADD CONSTRAINT results_form_check
    CHECK (form IN ('seg', 'overlay_sr', 'report_sr', 'picture', 'presentation', 'pdf', 'message'));
ALTER TABLE results DROP COLUMN ordinal;

ALTER TABLE deliveries ADD COLUMN edition TEXT;
ALTER TABLE deliveries ADD COLUMN left_out JSONB DEFAULT '[]' NOT NULL;
ALTER TABLE deliveries ADD COLUMN proof VARCHAR(32);
ALTER TABLE deliveries ADD CONSTRAINT deliveries_proof_check CHECK (proof IN ('commitment', 'query', 'acknowledged'));
UPDATE deliveries SET proof = 'commitment' WHERE state = 'proven';

ALTER TABLE runs ADD COLUMN lesion_rules JSONB DEFAULT '[]' NOT NULL;
ALTER TABLE findings ADD COLUMN saliency BYTEA;
ALTER TABLE instances ADD COLUMN study_date DATE;
ALTER TABLE revisions ADD COLUMN composed_with JSONB;
