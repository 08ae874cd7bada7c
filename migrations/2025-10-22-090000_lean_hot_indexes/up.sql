-- The hot tables lose the indexes that repeat another one, or with which another one begins: each of them is work for
-- every row that is written, and answers no question that the other one does not. Three are replaced by better ones.
-- What that costs and gains is measured in docs/benchmarks.md.
--
-- CONCURRENTLY: SHARE UPDATE EXCLUSIVE on the table, which neither readers nor writers notice; each statement waits for
-- the transactions that use the table at that moment, a build also for older ones. A build reads the table twice, about
-- two seconds for a million rows.
-- optiinfra: compatible

-- The newest sample of a customer. Without the time in the index it is looked for from the newest row of all backwards,
-- and that of a customer who sends nothing any more among all rows.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_customer_type_timestamp
    ON resource_metrics (customer_id, resource_type, "timestamp");
DROP INDEX CONCURRENTLY IF EXISTS ix_resource_metrics_customer_type;

-- The same of the newest answer of a customer's model.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_customer_model_timestamp
    ON quality_metrics (customer_id, model_name, "timestamp");
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_customer_model;

-- The hallucinations of a customer, the newest first. An entry for a few rows in a hundred instead of for every row.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_quality_metrics_customer_hallucination
    ON quality_metrics (customer_id, "timestamp") WHERE hallucination_detected;
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_hallucination_detected;

-- idx_agent_metric_agent_name begins with it.
DROP INDEX CONCURRENTLY IF EXISTS idx_agent_metric_agent;

-- ix_quality_metrics_agent_model begins with it.
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_agent_id;
-- ix_quality_metrics_customer_model_timestamp begins with it.
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_customer_id;
-- The primary key is the same.
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_id;
-- ix_quality_metrics_model_timestamp begins with it.
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_model_name;
-- The constraint quality_metrics_request_id_key has the same, and stays.
DROP INDEX CONCURRENTLY IF EXISTS ix_quality_metrics_request_id;

-- ix_resource_metrics_agent_instance begins with it.
DROP INDEX CONCURRENTLY IF EXISTS ix_resource_metrics_agent_id;
-- ix_resource_metrics_customer_type_timestamp begins with it.
DROP INDEX CONCURRENTLY IF EXISTS ix_resource_metrics_customer_id;
-- The primary key is the same.
DROP INDEX CONCURRENTLY IF EXISTS ix_resource_metrics_id;
-- ix_resource_metrics_instance_timestamp begins with it.
DROP INDEX CONCURRENTLY IF EXISTS ix_resource_metrics_instance_id;
-- ix_resource_metrics_type_name begins with it.
DROP INDEX CONCURRENTLY IF EXISTS ix_resource_metrics_resource_type;
