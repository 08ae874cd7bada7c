-- Removes the application layer with everything in it.

SET LOCAL lock_timeout = '5s';

DROP TABLE quality_regressions;
DROP TABLE quality_baselines;
DROP TABLE quality_metrics;

DROP TYPE regression_action;
DROP TYPE regression_severity;
DROP TYPE regression_type;
DROP TYPE baseline_type;
