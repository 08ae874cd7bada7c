-- The sums are lost, also those of hours whose samples are gone.
SET LOCAL lock_timeout = '5s';

DROP TABLE quality_metrics_hourly;
DROP TABLE resource_metrics_hourly;
