-- Rows of the hot tables in sums of an hour, which stay when the rows go. `optiinfra-dbctl retention --rollup 1h` writes them.
--
-- Only new tables. Their foreign keys take SHARE ROW EXCLUSIVE on customers for a moment.
-- optiinfra: compatible
--
-- diesel-guard:disable AddIndexCheck
-- (the tables are made here: nobody waits for the locks of their indexes)
SET LOCAL lock_timeout = '5s';

CREATE TABLE resource_metrics_hourly (
    id            uuid             PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id   uuid             NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    instance_id   varchar(255)     NOT NULL,
    resource_type resource_type    NOT NULL,
    metric_name   varchar(100)     NOT NULL,
    unit          varchar(50)      NOT NULL,
    hour          timestamptz      NOT NULL,
    sample_count  bigint           NOT NULL,
    min_value     double precision NOT NULL,
    avg_value     double precision NOT NULL,
    max_value     double precision NOT NULL,
    p95_value     double precision NOT NULL,
    last_value    double precision NOT NULL,
    last_at       timestamptz      NOT NULL,
    total_count   bigint,
    total_avg     double precision,
    is_final      boolean          NOT NULL DEFAULT false,
    created_at    timestamptz      NOT NULL DEFAULT now(),
    CONSTRAINT resource_metrics_hourly_key UNIQUE (customer_id, instance_id, resource_type, metric_name, unit, hour)
);
CREATE INDEX ix_resource_metrics_hourly_hour ON resource_metrics_hourly (hour);
CREATE INDEX ix_resource_metrics_hourly_without_total ON resource_metrics_hourly (hour) WHERE total_count IS NULL;
CREATE POLICY tenant_isolation ON resource_metrics_hourly
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE resource_metrics_hourly ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE resource_metrics_hourly IS 'Samples of resource_metrics, an hour of a metric of an instance in a row.';
COMMENT ON COLUMN resource_metrics_hourly.id IS 'Primary key.';
COMMENT ON COLUMN resource_metrics_hourly.customer_id IS 'Customer whose instance it is.';
COMMENT ON COLUMN resource_metrics_hourly.instance_id IS 'Instance as the cloud provider names it.';
COMMENT ON COLUMN resource_metrics_hourly.resource_type IS 'Kind of resource.';
COMMENT ON COLUMN resource_metrics_hourly.metric_name IS 'What was measured.';
COMMENT ON COLUMN resource_metrics_hourly.unit IS 'Unit of the samples.';
COMMENT ON COLUMN resource_metrics_hourly.hour IS 'When the hour begins, UTC.';
COMMENT ON COLUMN resource_metrics_hourly.sample_count IS 'How many samples the hour has.';
COMMENT ON COLUMN resource_metrics_hourly.min_value IS 'The least sample.';
COMMENT ON COLUMN resource_metrics_hourly.avg_value IS 'The average sample.';
COMMENT ON COLUMN resource_metrics_hourly.max_value IS 'The greatest sample.';
COMMENT ON COLUMN resource_metrics_hourly.p95_value IS 'The 95th percentile of the samples, interpolated between two of them.';
COMMENT ON COLUMN resource_metrics_hourly.last_value IS 'The newest sample; of those of one time that with the greatest id.';
COMMENT ON COLUMN resource_metrics_hourly.last_at IS 'When the newest sample was taken, UTC.';
COMMENT ON COLUMN resource_metrics_hourly.total_count IS 'How many samples this metric of the instance has had until the end of the hour; null until that is counted.';
COMMENT ON COLUMN resource_metrics_hourly.total_avg IS 'The average of all of these; null until that is computed.';
COMMENT ON COLUMN resource_metrics_hourly.is_final IS 'Whether samples of the hour may be gone: its sums are never computed again.';
COMMENT ON COLUMN resource_metrics_hourly.created_at IS 'When the row was written, UTC.';

CREATE TABLE quality_metrics_hourly (
    id            uuid             PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id   uuid             NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    model_name    varchar(100)     NOT NULL,
    model_version varchar(50)      NOT NULL,
    hour          timestamptz      NOT NULL,
    sample_count  bigint           NOT NULL,
    min_value     double precision NOT NULL,
    avg_value     double precision NOT NULL,
    max_value     double precision NOT NULL,
    p95_value     double precision NOT NULL,
    last_value    double precision NOT NULL,
    last_at       timestamptz      NOT NULL,
    total_count   bigint,
    total_avg     double precision,
    is_final      boolean          NOT NULL DEFAULT false,
    created_at    timestamptz      NOT NULL DEFAULT now(),
    CONSTRAINT quality_metrics_hourly_key UNIQUE (customer_id, model_name, model_version, hour)
);
CREATE INDEX ix_quality_metrics_hourly_hour ON quality_metrics_hourly (hour);
CREATE INDEX ix_quality_metrics_hourly_without_total ON quality_metrics_hourly (hour) WHERE total_count IS NULL;
CREATE POLICY tenant_isolation ON quality_metrics_hourly
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE quality_metrics_hourly ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE quality_metrics_hourly IS 'Overall quality scores of quality_metrics, an hour of a model in a row.';
COMMENT ON COLUMN quality_metrics_hourly.id IS 'Primary key.';
COMMENT ON COLUMN quality_metrics_hourly.customer_id IS 'Customer whose requests they were.';
COMMENT ON COLUMN quality_metrics_hourly.model_name IS 'Model that answered.';
COMMENT ON COLUMN quality_metrics_hourly.model_version IS 'Version of the model.';
COMMENT ON COLUMN quality_metrics_hourly.hour IS 'When the hour begins, UTC.';
COMMENT ON COLUMN quality_metrics_hourly.sample_count IS 'How many samples the hour has.';
COMMENT ON COLUMN quality_metrics_hourly.min_value IS 'The least score.';
COMMENT ON COLUMN quality_metrics_hourly.avg_value IS 'The average score.';
COMMENT ON COLUMN quality_metrics_hourly.max_value IS 'The greatest score.';
COMMENT ON COLUMN quality_metrics_hourly.p95_value IS 'The 95th percentile of the scores, interpolated between two of them.';
COMMENT ON COLUMN quality_metrics_hourly.last_value IS 'The newest score; of those of one time that with the greatest id.';
COMMENT ON COLUMN quality_metrics_hourly.last_at IS 'When the newest sample was taken, UTC.';
COMMENT ON COLUMN quality_metrics_hourly.total_count IS 'How many samples this model has had until the end of the hour; null until that is counted.';
COMMENT ON COLUMN quality_metrics_hourly.total_avg IS 'The average of all of these; null until that is computed.';
COMMENT ON COLUMN quality_metrics_hourly.is_final IS 'Whether samples of the hour may be gone: its sums are never computed again.';
COMMENT ON COLUMN quality_metrics_hourly.created_at IS 'When the row was written, UTC.';
