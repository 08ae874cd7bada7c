-- The times of the application layer lose their time zone again; what is left is UTC.
-- Locks and work as in up.sql.
SET LOCAL lock_timeout = '5s';
SET LOCAL TimeZone = 'UTC';

ALTER TABLE quality_metrics
    ALTER COLUMN "timestamp" TYPE timestamp,
    ALTER COLUMN created_at TYPE timestamp;

ALTER TABLE quality_baselines
    ALTER COLUMN established_at TYPE timestamp,
    ALTER COLUMN valid_until TYPE timestamp,
    ALTER COLUMN created_at TYPE timestamp;

ALTER TABLE quality_regressions
    ALTER COLUMN detected_at TYPE timestamp,
    ALTER COLUMN resolved_at TYPE timestamp,
    ALTER COLUMN created_at TYPE timestamp,
    ALTER COLUMN updated_at TYPE timestamp;
