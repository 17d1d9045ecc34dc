-- What a bundle says of several crops of one frame; derm_pacs/ledger/tables.py says what the column is for.

ALTER TABLE findings ADD COLUMN ordinal BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE findings DROP CONSTRAINT findings_run_id_instance_id_frame_output_key;
ALTER TABLE findings ADD CONSTRAINT findings_run_id_instance_id_frame_kind_output_ordinal_key
    UNIQUE (run_id, instance_id, frame, kind, output, ordinal);
