-- Back to the first schema. Fails, and leaves everything as it is, where results of the later forms are kept.

ALTER TABLE revisions DROP COLUMN composed_with;
ALTER TABLE instances DROP COLUMN study_date;
ALTER TABLE findings DROP COLUMN saliency;
ALTER TABLE runs DROP COLUMN lesion_rules;
ALTER TABLE deliveries DROP COLUMN proof;
ALTER TABLE deliveries DROP COLUMN left_out;
ALTER TABLE deliveries DROP COLUMN edition;
ALTER TABLE results ADD COLUMN ordinal BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE results ALTER COLUMN ordinal DROP DEFAULT;
ALTER TABLE results DROP CONSTRAINT results_form_check;
ALTER TABLE results ADD CONSTRAINT results_form_check CHECK (form IN ('seg', 'overlay_sr', 'report_sr'));
DROP TABLE lesion_visits;
DROP TABLE edition_objects;
DROP TABLE agreements;
