-- A customer's samples of one resource type, the newest first, under row security. PostgreSQL makes a comparison that it
-- does not take for leakproof after the policy, and that of enums is not: ix_resource_metrics_customer_type_timestamp is
-- of no use there. A condition that an index has itself needs no comparison. Each sample is in one of these. What they
-- cost and gain is measured in docs/benchmarks.md. A new resource type needs an index of its own.
--
-- CONCURRENTLY: SHARE UPDATE EXCLUSIVE on the table, which neither readers nor writers notice. A build waits for the
-- transactions that are open and reads the table twice, about two seconds for a million rows.
-- optiinfra: compatible

CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_customer_gpu_timestamp
    ON resource_metrics (customer_id, "timestamp") WHERE resource_type = 'gpu';
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_customer_cpu_timestamp
    ON resource_metrics (customer_id, "timestamp") WHERE resource_type = 'cpu';
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_customer_memory_timestamp
    ON resource_metrics (customer_id, "timestamp") WHERE resource_type = 'memory';
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_customer_disk_timestamp
    ON resource_metrics (customer_id, "timestamp") WHERE resource_type = 'disk';
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_resource_metrics_customer_network_timestamp
    ON resource_metrics (customer_id, "timestamp") WHERE resource_type = 'network';
