-- Builds the old indexes again, beside readers and writers: about two seconds each for a million rows.

CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_resource_type ON resource_metrics (resource_type);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_instance_id ON resource_metrics (instance_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_id ON resource_metrics (id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_customer_id ON resource_metrics (customer_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_agent_id ON resource_metrics (agent_id);

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_request_id ON quality_metrics (request_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_model_name ON quality_metrics (model_name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_id ON quality_metrics (id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_customer_id ON quality_metrics (customer_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_agent_id ON quality_metrics (agent_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_agent_metric_agent ON agent_metrics (agent_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_hallucination_detected
    ON quality_metrics (hallucination_detected);
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_customer_hallucination;

CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_customer_model ON quality_metrics (customer_id, model_name);
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_customer_model_timestamp;

CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_customer_type ON resource_metrics (customer_id, resource_type);
DROP INDEX CONCURRENTLY IF EXISTS ix_resource_metrics_customer_type_timestamp;
