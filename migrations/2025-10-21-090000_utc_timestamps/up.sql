-- The times of the application layer become timestamptz; the values written so far are read as UTC.
--
-- ACCESS EXCLUSIVE on each of the three tables until commit. With the session's time zone at UTC PostgreSQL knows
-- that the stored values stay as they are, so it does not rewrite the tables; it rebuilds the indexes on these
-- columns, which takes about a second per million rows.
-- diesel-guard:disable AlterColumnTypeCheck
SET LOCAL lock_timeout = '5s';
SET LOCAL TimeZone = 'UTC';

ALTER TABLE quality_metrics
    ALTER COLUMN "timestamp" TYPE timestamptz,
    ALTER COLUMN created_at TYPE timestamptz;

ALTER TABLE quality_baselines
    ALTER COLUMN established_at TYPE timestamptz,
    ALTER COLUMN valid_until TYPE timestamptz,
    ALTER COLUMN created_at TYPE timestamptz;

ALTER TABLE quality_regressions
    ALTER COLUMN detected_at TYPE timestamptz,
    ALTER COLUMN resolved_at TYPE timestamptz,
    ALTER COLUMN created_at TYPE timestamptz,
    ALTER COLUMN updated_at TYPE timestamptz;
