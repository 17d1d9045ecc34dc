-- The tables of the first revision, as PostgreSQL takes them; derm_pacs/ledger/tables.py says what each is for.

CREATE TABLE allowed_steps (
    from_state VARCHAR(32) NOT NULL,
    step VARCHAR(32) NOT NULL,
    to_state VARCHAR(32) NOT NULL,
    CONSTRAINT allowed_steps_pkey PRIMARY KEY (from_state, step, to_state)
);

CREATE TABLE audit (
    id BIGINT NOT NULL,
    at timestamptz NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail JSONB NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    CONSTRAINT audit_pkey PRIMARY KEY (id),
    CONSTRAINT audit_id_check CHECK (id >= 1)
);

CREATE TABLE bundles (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    title TEXT NOT NULL,
    grade VARCHAR(32) NOT NULL,
    licence TEXT NOT NULL,
    folder TEXT NOT NULL,
    installed_at timestamptz NOT NULL,
    active BOOLEAN NOT NULL,
    CONSTRAINT bundles_pkey PRIMARY KEY (id),
    CONSTRAINT bundles_name_version_key UNIQUE (name, version),
    CONSTRAINT bundles_grade_check CHECK (grade IN ('research', 'demonstration')),
    CONSTRAINT bundles_content_hash_key UNIQUE (content_hash)
);
CREATE UNIQUE INDEX bundles_one_active_idx ON bundles (name) WHERE active;

CREATE TABLE clock_runs (
    name TEXT NOT NULL,
    due_at timestamptz NOT NULL,
    ran_at timestamptz NOT NULL,
    note TEXT NOT NULL,
    CONSTRAINT clock_runs_pkey PRIMARY KEY (name, due_at)
);

CREATE TABLE facilities (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    CONSTRAINT facilities_pkey PRIMARY KEY (id),
    CONSTRAINT facilities_name_key UNIQUE (name)
);

CREATE TABLE faults (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    key TEXT NOT NULL,
    reason_code TEXT NOT NULL,
    detail TEXT NOT NULL,
    opened_at timestamptz NOT NULL,
    cleared_at timestamptz,
    CONSTRAINT faults_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX faults_one_open_idx ON faults (key) WHERE cleared_at IS NULL;

CREATE TABLE routes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    definition JSONB NOT NULL,
    seen_at timestamptz NOT NULL,
    CONSTRAINT routes_pkey PRIMARY KEY (id),
    CONSTRAINT routes_digest_key UNIQUE (digest)
);

CREATE TABLE spool_positions (
    listener TEXT NOT NULL,
    segment BIGINT NOT NULL,
    "offset" BIGINT NOT NULL,
    drained_at timestamptz,
    CONSTRAINT spool_positions_pkey PRIMARY KEY (listener)
);

CREATE TABLE cases (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    facility_id BIGINT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT cases_pkey PRIMARY KEY (id),
    CONSTRAINT cases_facility_id_study_instance_uid_key UNIQUE (facility_id, study_instance_uid),
    CONSTRAINT cases_facility_id_fkey FOREIGN KEY (facility_id) REFERENCES facilities (id)
);

CREATE TABLE operating_points (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    bundle_id BIGINT NOT NULL,
    point_id TEXT NOT NULL,
    output TEXT NOT NULL,
    positive TEXT NOT NULL,
    threshold DOUBLE PRECISION NOT NULL,
    set_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_at timestamptz NOT NULL,
    current BOOLEAN NOT NULL,
    CONSTRAINT operating_points_pkey PRIMARY KEY (id),
    CONSTRAINT operating_points_threshold_check CHECK (threshold BETWEEN 0 AND 1),
    CONSTRAINT operating_points_bundle_id_fkey FOREIGN KEY (bundle_id) REFERENCES bundles (id)
);
CREATE UNIQUE INDEX operating_points_one_current_idx ON operating_points (bundle_id, point_id) WHERE current;

CREATE TABLE patients (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    facility_id BIGINT NOT NULL,
    patient_id TEXT,
    issuer TEXT,
    name TEXT,
    birth_date DATE,
    sex TEXT,
    erased_at timestamptz,
    CONSTRAINT patients_pkey PRIMARY KEY (id),
    CONSTRAINT patients_facility_id_patient_id_issuer_key UNIQUE (facility_id, patient_id, issuer),
    CONSTRAINT patients_named_check CHECK ((erased_at IS NULL) = (patient_id IS NOT NULL AND issuer IS NOT NULL)),
    CONSTRAINT patients_erased_check CHECK (erased_at IS NULL OR num_nonnulls(patient_id, issuer, name, birth_date, sex) = 0),
    CONSTRAINT patients_facility_id_fkey FOREIGN KEY (facility_id) REFERENCES facilities (id)
);

CREATE TABLE peers (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    facility_id BIGINT NOT NULL,
    ae_title TEXT NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT peers_pkey PRIMARY KEY (id),
    CONSTRAINT peers_facility_id_ae_title_key UNIQUE (facility_id, ae_title),
    CONSTRAINT peers_facility_id_fkey FOREIGN KEY (facility_id) REFERENCES facilities (id)
);

CREATE TABLE instances (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    facility_id BIGINT NOT NULL,
    case_id BIGINT NOT NULL,
    patient_id BIGINT,
    peer_id BIGINT NOT NULL,
    role VARCHAR(32) NOT NULL,
    current BOOLEAN NOT NULL,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    pixel_sha256 TEXT,
    modality TEXT NOT NULL,
    number_of_frames BIGINT NOT NULL,
    listener TEXT NOT NULL,
    segment BIGINT NOT NULL,
    "offset" BIGINT NOT NULL,
    length BIGINT NOT NULL,
    received_at timestamptz NOT NULL,
    filed_at timestamptz NOT NULL,
    unreadable TEXT,
    CONSTRAINT instances_pkey PRIMARY KEY (id),
    CONSTRAINT instances_facility_id_sop_instance_uid_sha256_key UNIQUE (facility_id, sop_instance_uid, sha256),
    CONSTRAINT instances_listener_segment_offset_key UNIQUE (listener, segment, "offset"),
    CONSTRAINT instances_unreadable_check CHECK ((role = 'unreadable') = (unreadable IS NOT NULL)),
    CONSTRAINT instances_role_check CHECK (role IN ('image', 'other', 'ours', 'unreadable')),
    CONSTRAINT instances_facility_id_fkey FOREIGN KEY (facility_id) REFERENCES facilities (id),
    CONSTRAINT instances_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id),
    CONSTRAINT instances_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES patients (id),
    CONSTRAINT instances_peer_id_fkey FOREIGN KEY (peer_id) REFERENCES peers (id)
);
CREATE INDEX instances_case_id_idx ON instances (case_id);
CREATE UNIQUE INDEX instances_one_current_idx ON instances (case_id, sop_instance_uid) WHERE current;
CREATE INDEX instances_patient_id_idx ON instances (patient_id);

CREATE TABLE lesions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    case_id BIGINT NOT NULL,
    tracking_uid TEXT,
    tracking_id TEXT,
    site_code TEXT,
    laterality TEXT,
    CONSTRAINT lesions_pkey PRIMARY KEY (id),
    CONSTRAINT lesions_named_check CHECK (tracking_uid IS NOT NULL OR (site_code IS NOT NULL AND laterality IS NOT NULL)),
    CONSTRAINT lesions_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id)
);
CREATE UNIQUE INDEX lesions_site_idx ON lesions (case_id, site_code, laterality) WHERE tracking_uid IS NULL;
CREATE UNIQUE INDEX lesions_tracking_idx ON lesions (case_id, tracking_uid) WHERE tracking_uid IS NOT NULL;

CREATE TABLE revisions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    case_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    state VARCHAR(32) NOT NULL,
    hash TEXT,
    first_received_at timestamptz NOT NULL,
    last_received_at timestamptz NOT NULL,
    closed_at timestamptz,
    close_reason VARCHAR(32),
    held_in VARCHAR(32),
    reason_code TEXT,
    reason_detail TEXT,
    route JSONB,
    attempts BIGINT DEFAULT '0' NOT NULL,
    first_failed_at timestamptz,
    last_error TEXT,
    CONSTRAINT revisions_pkey PRIMARY KEY (id),
    CONSTRAINT revisions_case_id_number_key UNIQUE (case_id, number),
    CONSTRAINT revisions_number_check CHECK (number >= 1),
    CONSTRAINT revisions_closed_check CHECK ((closed_at IS NULL) = (close_reason IS NULL) AND (closed_at IS NULL) = (hash IS NULL)),
    CONSTRAINT revisions_held_check CHECK ((state = 'held') = (held_in IS NOT NULL)),
    CONSTRAINT revisions_state_check CHECK (state IN ('receiving', 'queued', 'analysing', 'composing', 'delivering', 'confirmed', 'unconfirmed', 'rejected', 'held', 'cancelled', 'superseded')),
    CONSTRAINT revisions_held_in_check CHECK (held_in IN ('receiving', 'queued', 'analysing', 'composing', 'delivering', 'confirmed', 'unconfirmed', 'rejected', 'held', 'cancelled', 'superseded')),
    CONSTRAINT revisions_close_reason_check CHECK (close_reason IN ('quiet_period', 'cap')),
    CONSTRAINT revisions_case_id_fkey FOREIGN KEY (case_id) REFERENCES cases (id)
);
CREATE UNIQUE INDEX revisions_one_receiving_idx ON revisions (case_id) WHERE state = 'receiving';
CREATE INDEX revisions_state_idx ON revisions (state);

CREATE TABLE deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    revision_id BIGINT NOT NULL,
    destination TEXT NOT NULL,
    state VARCHAR(32) NOT NULL,
    attempts BIGINT DEFAULT '0' NOT NULL,
    first_attempt_at timestamptz,
    next_attempt_at timestamptz,
    deadline timestamptz,
    reason_code TEXT,
    reason_detail TEXT,
    finished_at timestamptz,
    CONSTRAINT deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT deliveries_revision_id_destination_key UNIQUE (revision_id, destination),
    CONSTRAINT deliveries_state_check CHECK (state IN ('pending', 'sent', 'proven', 'unprovable', 'refused')),
    CONSTRAINT deliveries_revision_id_fkey FOREIGN KEY (revision_id) REFERENCES revisions (id)
);
CREATE INDEX deliveries_state_idx ON deliveries (state);

CREATE TABLE events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    revision_id BIGINT NOT NULL,
    from_state VARCHAR(32),
    step VARCHAR(32),
    to_state VARCHAR(32) NOT NULL,
    actor TEXT NOT NULL,
    reason_code TEXT,
    detail TEXT NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (id),
    CONSTRAINT events_from_state_step_to_state_fkey FOREIGN KEY (from_state, step, to_state) REFERENCES allowed_steps (from_state, step, to_state),
    CONSTRAINT events_opening_check CHECK (CASE WHEN step IS NULL THEN from_state IS NULL AND to_state = 'receiving' ELSE from_state IS NOT NULL END),
    CONSTRAINT events_revision_id_fkey FOREIGN KEY (revision_id) REFERENCES revisions (id)
);
CREATE INDEX events_revision_idx ON events (revision_id, id);

CREATE TABLE lesion_instances (
    lesion_id BIGINT NOT NULL,
    instance_id BIGINT NOT NULL,
    CONSTRAINT lesion_instances_pkey PRIMARY KEY (lesion_id, instance_id),
    CONSTRAINT lesion_instances_lesion_id_fkey FOREIGN KEY (lesion_id) REFERENCES lesions (id),
    CONSTRAINT lesion_instances_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES instances (id)
);
CREATE INDEX lesion_instances_instance_id_idx ON lesion_instances (instance_id);

CREATE TABLE results (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    revision_id BIGINT NOT NULL,
    form VARCHAR(32) NOT NULL,
    ordinal BIGINT NOT NULL,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    length BIGINT NOT NULL,
    about JSONB NOT NULL,
    composed_at timestamptz NOT NULL,
    CONSTRAINT results_pkey PRIMARY KEY (id),
    CONSTRAINT results_form_check CHECK (form IN ('seg', 'overlay_sr', 'report_sr')),
    CONSTRAINT results_revision_id_fkey FOREIGN KEY (revision_id) REFERENCES revisions (id),
    CONSTRAINT results_sop_instance_uid_key UNIQUE (sop_instance_uid)
);
CREATE INDEX results_revision_id_idx ON results (revision_id);

CREATE TABLE revision_instances (
    revision_id BIGINT NOT NULL,
    instance_id BIGINT NOT NULL,
    CONSTRAINT revision_instances_pkey PRIMARY KEY (revision_id, instance_id),
    CONSTRAINT revision_instances_revision_id_fkey FOREIGN KEY (revision_id) REFERENCES revisions (id),
    CONSTRAINT revision_instances_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES instances (id)
);
CREATE INDEX revision_instances_instance_id_idx ON revision_instances (instance_id);

CREATE TABLE runs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    revision_id BIGINT NOT NULL,
    bundle_id BIGINT NOT NULL,
    route_id BIGINT,
    role VARCHAR(32) NOT NULL,
    settings JSONB NOT NULL,
    operating_points JSONB NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    reused_from BIGINT,
    CONSTRAINT runs_pkey PRIMARY KEY (id),
    CONSTRAINT runs_role_check CHECK (role IN ('active', 'shadow', 'replay')),
    CONSTRAINT runs_revision_id_fkey FOREIGN KEY (revision_id) REFERENCES revisions (id),
    CONSTRAINT runs_bundle_id_fkey FOREIGN KEY (bundle_id) REFERENCES bundles (id),
    CONSTRAINT runs_route_id_fkey FOREIGN KEY (route_id) REFERENCES routes (id),
    CONSTRAINT runs_reused_from_fkey FOREIGN KEY (reused_from) REFERENCES runs (id)
);
CREATE UNIQUE INDEX runs_one_active_idx ON runs (revision_id, bundle_id) WHERE role = 'active';

CREATE TABLE commitment_transactions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    transaction_uid TEXT NOT NULL,
    delivery_id BIGINT NOT NULL,
    asked_at timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    reported_at timestamptz,
    report JSONB,
    CONSTRAINT commitment_transactions_pkey PRIMARY KEY (id),
    CONSTRAINT commitment_transactions_transaction_uid_key UNIQUE (transaction_uid),
    CONSTRAINT commitment_transactions_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES deliveries (id)
);
CREATE INDEX commitment_transactions_delivery_id_idx ON commitment_transactions (delivery_id);

CREATE TABLE delivered_objects (
    delivery_id BIGINT NOT NULL,
    result_id BIGINT NOT NULL,
    status BIGINT NOT NULL,
    sent_at timestamptz NOT NULL,
    CONSTRAINT delivered_objects_pkey PRIMARY KEY (delivery_id, result_id),
    CONSTRAINT delivered_objects_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES deliveries (id),
    CONSTRAINT delivered_objects_result_id_fkey FOREIGN KEY (result_id) REFERENCES results (id)
);
CREATE INDEX delivered_objects_result_id_idx ON delivered_objects (result_id);

CREATE TABLE findings (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    run_id BIGINT NOT NULL,
    instance_id BIGINT NOT NULL,
    lesion_id BIGINT,
    frame BIGINT NOT NULL,
    output TEXT NOT NULL,
    kind TEXT NOT NULL,
    data JSONB NOT NULL,
    mask BYTEA,
    CONSTRAINT findings_pkey PRIMARY KEY (id),
    CONSTRAINT findings_run_id_instance_id_frame_output_key UNIQUE (run_id, instance_id, frame, output),
    CONSTRAINT findings_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs (id),
    CONSTRAINT findings_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES instances (id),
    CONSTRAINT findings_lesion_id_fkey FOREIGN KEY (lesion_id) REFERENCES lesions (id)
);
CREATE INDEX findings_instance_id_idx ON findings (instance_id);
CREATE INDEX findings_lesion_id_idx ON findings (lesion_id);
