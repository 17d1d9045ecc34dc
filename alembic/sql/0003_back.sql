-- Back to findings of whole frames. Fails, and leaves everything as it is, where findings of crops are kept: the program of
-- that schema would tell them as if the whole image had been read.

DO $$
BEGIN
    IF EXISTS (SELECT FROM findings WHERE kind = 'crops' OR ordinal > 0 OR data ? 'region') THEN
        RAISE EXCEPTION 'findings of crops are kept; the schema before them cannot hold them';
    END IF;
END
$$;
ALTER TABLE findings DROP CONSTRAINT findings_run_id_instance_id_frame_kind_output_ordinal_key;
ALTER TABLE findings ADD CONSTRAINT findings_run_id_instance_id_frame_output_key UNIQUE (run_id, instance_id, frame, output);
ALTER TABLE findings DROP COLUMN ordinal;
