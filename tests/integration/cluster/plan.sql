-- 8 shards a table, on 2 nodes
-- table agent_metrics table becomes table, distributed by agent_id
--   where its rows are
-- table events table, row security becomes table, row security, distributed by customer_id
--   where its rows are
-- table quality_metrics table, row security becomes table, row security, distributed by customer_id
--   where its rows are
-- table resource_metrics table, row security becomes table, row security, distributed by customer_id
--   where its rows are
-- constraint agent_metrics.agent_metrics_agent_id_fkey goes: FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE
--   a row may refer to one that is not there, which `verify` finds; triggers do what it did to deleted rows
-- constraint agent_metrics.agent_metrics_pkey PRIMARY KEY (id) becomes PRIMARY KEY (id, agent_id)
--   ON CONFLICT names these columns, and equal values are refused only within them
-- constraint events.events_agent_id_fkey goes: FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE SET NULL
--   a row may refer to one that is not there, which `verify` finds; triggers do what it did to deleted rows
-- constraint events.events_customer_id_fkey goes: FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE
--   a row may refer to one that is not there, which `verify` finds; triggers do what it did to deleted rows
-- constraint events.events_pkey PRIMARY KEY (id) becomes PRIMARY KEY (id, customer_id)
--   ON CONFLICT names these columns, and equal values are refused only within them
-- constraint quality_metrics.quality_metrics_agent_id_fkey goes: FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE
--   a row may refer to one that is not there, which `verify` finds; triggers do what it did to deleted rows
-- constraint quality_metrics.quality_metrics_customer_id_fkey goes: FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE
--   a row may refer to one that is not there, which `verify` finds; triggers do what it did to deleted rows
-- constraint quality_metrics.quality_metrics_pkey PRIMARY KEY (id) becomes PRIMARY KEY (id, customer_id)
--   ON CONFLICT names these columns, and equal values are refused only within them
-- constraint quality_metrics.quality_metrics_request_id_key UNIQUE (request_id) becomes UNIQUE (request_id, customer_id)
--   ON CONFLICT names these columns, and equal values are refused only within them
-- constraint resource_metrics.resource_metrics_agent_id_fkey goes: FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE
--   a row may refer to one that is not there, which `verify` finds; triggers do what it did to deleted rows
-- constraint resource_metrics.resource_metrics_customer_id_fkey goes: FOREIGN KEY (customer_id) REFERENCES customers(id) ON DELETE CASCADE
--   a row may refer to one that is not there, which `verify` finds; triggers do what it did to deleted rows
-- constraint resource_metrics.resource_metrics_pkey PRIMARY KEY (id) becomes PRIMARY KEY (id, customer_id)
--   ON CONFLICT names these columns, and equal values are refused only within them
-- trigger agents.hot_rows_of_agents is new: AFTER DELETE ON agents FOR EACH ROW EXECUTE FUNCTION hot_rows_of_agents()
--   does what the foreign keys did when a row is deleted
-- trigger customers.hot_rows_of_customers is new: AFTER DELETE ON customers FOR EACH ROW EXECUTE FUNCTION hot_rows_of_customers()
--   does what the foreign keys did when a row is deleted

-- for `psql -v ON_ERROR_STOP=1`, while no migration and no other change of partitions is under way
SET TimeZone = 'UTC';

-- __optiinfra_topology 1 of 1: record the choice
BEGIN;
SET LOCAL lock_timeout = 500;
CREATE TABLE __optiinfra_topology (
    is_row boolean PRIMARY KEY DEFAULT true CHECK (is_row),
    shards integer NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);
INSERT INTO __optiinfra_topology (shards) VALUES (8);
ALTER TABLE __optiinfra_topology OWNER TO optiinfra;
COMMIT;

-- customers 1 of 3: do by a trigger on agents what foreign keys do to rows of hot tables
-- locks agents: ShareRowExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "agents" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
CREATE OR REPLACE FUNCTION hot_rows_of_agents() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path=pg_catalog, pg_temp AS $text0$
BEGIN
    EXECUTE format('DELETE FROM %I.resource_metrics WHERE agent_id = $1', TG_TABLE_SCHEMA) USING OLD.id;
    EXECUTE format('DELETE FROM %I.agent_metrics WHERE agent_id = $1', TG_TABLE_SCHEMA) USING OLD.id;
    EXECUTE format('UPDATE %I.events SET agent_id = NULL WHERE agent_id = $1', TG_TABLE_SCHEMA) USING OLD.id;
    EXECUTE format('DELETE FROM %I.quality_metrics WHERE agent_id = $1', TG_TABLE_SCHEMA) USING OLD.id;
    RETURN NULL;
END
$text0$;
ALTER FUNCTION hot_rows_of_agents() OWNER TO optiinfra;
CREATE OR REPLACE TRIGGER "hot_rows_of_agents" AFTER DELETE ON agents FOR EACH ROW EXECUTE FUNCTION hot_rows_of_agents();
ALTER TABLE "agents" ENABLE TRIGGER "hot_rows_of_agents";
COMMIT;

-- customers 2 of 3: do by a trigger on customers what foreign keys do to rows of hot tables
-- locks customers: ShareRowExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "customers" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
CREATE OR REPLACE FUNCTION hot_rows_of_customers() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path=pg_catalog, pg_temp AS $text0$
BEGIN
    EXECUTE format('DELETE FROM %I.resource_metrics WHERE customer_id = $1', TG_TABLE_SCHEMA) USING OLD.id;
    EXECUTE format('DELETE FROM %I.events WHERE customer_id = $1', TG_TABLE_SCHEMA) USING OLD.id;
    EXECUTE format('DELETE FROM %I.quality_metrics WHERE customer_id = $1', TG_TABLE_SCHEMA) USING OLD.id;
    RETURN NULL;
END
$text0$;
ALTER FUNCTION hot_rows_of_customers() OWNER TO optiinfra;
CREATE OR REPLACE TRIGGER "hot_rows_of_customers" AFTER DELETE ON customers FOR EACH ROW EXECUTE FUNCTION hot_rows_of_customers();
ALTER TABLE "customers" ENABLE TRIGGER "hot_rows_of_customers";
COMMIT;

-- customers 3 of 3: give the policy its form
-- locks customers: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "customers" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- events 1 of 1: give the policy its form
-- locks events: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "events" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- optimizations 1 of 1: give the policy its form
-- locks optimizations: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "optimizations" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- quality_baselines 1 of 1: give the policy its form
-- locks quality_baselines: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "quality_baselines" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- quality_metrics 1 of 1: give the policy its form
-- locks quality_metrics: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "quality_metrics" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- quality_metrics_hourly 1 of 1: give the policy its form
-- locks quality_metrics_hourly: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "quality_metrics_hourly" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- quality_regressions 1 of 1: give the policy its form
-- locks quality_regressions: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "quality_regressions" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- recommendations 1 of 1: give the policy its form
-- locks recommendations: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "recommendations" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- resource_metrics 1 of 1: give the policy its form
-- locks resource_metrics: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "resource_metrics" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- resource_metrics_hourly 1 of 1: give the policy its form
-- locks resource_metrics_hourly: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "resource_metrics_hourly" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- scaling_events 1 of 1: give the policy its form
-- locks scaling_events: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "scaling_events" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- workflow_executions 1 of 1: give the policy its form
-- locks workflow_executions: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "workflow_executions" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
COMMIT;

-- resource_metrics 1 of 4: build the unique index (id, customer_id) of resource_metrics while others write
-- locks resource_metrics: ShareUpdateExclusiveLock
CREATE UNIQUE INDEX CONCURRENTLY "resource_metrics_pkey_widened" ON "resource_metrics" ("id", "customer_id");

-- resource_metrics 2 of 4: exchange the keys for wider ones, and drop the foreign keys
-- locks agents: AccessExclusiveLock
-- locks customers: AccessExclusiveLock
-- locks resource_metrics: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "agents", "customers", "resource_metrics" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
LOCK TABLE "agents", "customers", "resource_metrics" IN ACCESS EXCLUSIVE MODE;
ALTER TABLE "resource_metrics" DROP CONSTRAINT "resource_metrics_agent_id_fkey";
ALTER TABLE "resource_metrics" DROP CONSTRAINT "resource_metrics_customer_id_fkey";
ALTER TABLE "resource_metrics" DROP CONSTRAINT "resource_metrics_pkey";
ALTER TABLE "resource_metrics" ADD CONSTRAINT "resource_metrics_pkey" PRIMARY KEY USING INDEX "resource_metrics_pkey_widened";
COMMIT;

-- resource_metrics 3 of 4: move the rows to the workers, while writers wait
-- locks resource_metrics: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "resource_metrics" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
SELECT create_distributed_table('resource_metrics', 'customer_id', colocate_with => 'none', shard_count => 8);
SELECT truncate_local_data_after_distributing_table('resource_metrics');
COMMIT;

-- resource_metrics 4 of 4: give the planner its statistics
-- locks resource_metrics: ShareUpdateExclusiveLock
ANALYZE resource_metrics;

-- agent_metrics 1 of 4: build the unique index (id, agent_id) of agent_metrics while others write
-- locks agent_metrics: ShareUpdateExclusiveLock
CREATE UNIQUE INDEX CONCURRENTLY "agent_metrics_pkey_widened" ON "agent_metrics" ("id", "agent_id");

-- agent_metrics 2 of 4: exchange the keys for wider ones, and drop the foreign keys
-- locks agents: AccessExclusiveLock
-- locks agent_metrics: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "agents", "agent_metrics" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
LOCK TABLE "agents", "agent_metrics" IN ACCESS EXCLUSIVE MODE;
ALTER TABLE "agent_metrics" DROP CONSTRAINT "agent_metrics_agent_id_fkey";
ALTER TABLE "agent_metrics" DROP CONSTRAINT "agent_metrics_pkey";
ALTER TABLE "agent_metrics" ADD CONSTRAINT "agent_metrics_pkey" PRIMARY KEY USING INDEX "agent_metrics_pkey_widened";
COMMIT;

-- agent_metrics 3 of 4: move the rows to the workers, while writers wait
-- locks agent_metrics: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "agent_metrics" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
SELECT create_distributed_table('agent_metrics', 'agent_id', colocate_with => 'none', shard_count => 8);
SELECT truncate_local_data_after_distributing_table('agent_metrics');
COMMIT;

-- agent_metrics 4 of 4: give the planner its statistics
-- locks agent_metrics: ShareUpdateExclusiveLock
ANALYZE agent_metrics;

-- events 1 of 4: build the unique index (id, customer_id) of events while others write
-- locks events: ShareUpdateExclusiveLock
CREATE UNIQUE INDEX CONCURRENTLY "events_pkey_widened" ON "events" ("id", "customer_id");

-- events 2 of 4: exchange the keys for wider ones, and drop the foreign keys
-- locks agents: AccessExclusiveLock
-- locks customers: AccessExclusiveLock
-- locks events: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "agents", "customers", "events" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
LOCK TABLE "agents", "customers", "events" IN ACCESS EXCLUSIVE MODE;
ALTER TABLE "events" DROP CONSTRAINT "events_agent_id_fkey";
ALTER TABLE "events" DROP CONSTRAINT "events_customer_id_fkey";
ALTER TABLE "events" DROP CONSTRAINT "events_pkey";
ALTER TABLE "events" ADD CONSTRAINT "events_pkey" PRIMARY KEY USING INDEX "events_pkey_widened";
COMMIT;

-- events 3 of 4: move the rows to the workers, while writers wait
-- locks events: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "events" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
SELECT create_distributed_table('events', 'customer_id', colocate_with => 'resource_metrics');
SELECT truncate_local_data_after_distributing_table('events');
COMMIT;

-- events 4 of 4: give the planner its statistics
-- locks events: ShareUpdateExclusiveLock
ANALYZE events;

-- quality_metrics 1 of 5: build the unique index (id, customer_id) of quality_metrics while others write
-- locks quality_metrics: ShareUpdateExclusiveLock
CREATE UNIQUE INDEX CONCURRENTLY "quality_metrics_pkey_widened" ON "quality_metrics" ("id", "customer_id");

-- quality_metrics 2 of 5: build the unique index (request_id, customer_id) of quality_metrics while others write
-- locks quality_metrics: ShareUpdateExclusiveLock
CREATE UNIQUE INDEX CONCURRENTLY "quality_metrics_request_id_key_widened" ON "quality_metrics" ("request_id", "customer_id");

-- quality_metrics 3 of 5: exchange the keys for wider ones, and drop the foreign keys
-- locks agents: AccessExclusiveLock
-- locks customers: AccessExclusiveLock
-- locks quality_metrics: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "agents", "customers", "quality_metrics" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
LOCK TABLE "agents", "customers", "quality_metrics" IN ACCESS EXCLUSIVE MODE;
ALTER TABLE "quality_metrics" DROP CONSTRAINT "quality_metrics_agent_id_fkey";
ALTER TABLE "quality_metrics" DROP CONSTRAINT "quality_metrics_customer_id_fkey";
ALTER TABLE "quality_metrics" DROP CONSTRAINT "quality_metrics_pkey";
ALTER TABLE "quality_metrics" DROP CONSTRAINT "quality_metrics_request_id_key";
ALTER TABLE "quality_metrics" ADD CONSTRAINT "quality_metrics_pkey" PRIMARY KEY USING INDEX "quality_metrics_pkey_widened";
ALTER TABLE "quality_metrics" ADD CONSTRAINT "quality_metrics_request_id_key" UNIQUE USING INDEX "quality_metrics_request_id_key_widened";
COMMIT;

-- quality_metrics 4 of 5: move the rows to the workers, while writers wait
-- locks quality_metrics: AccessExclusiveLock
BEGIN;
SET LOCAL lock_timeout = 5000;
LOCK TABLE "quality_metrics" IN SHARE UPDATE EXCLUSIVE MODE;
SET LOCAL lock_timeout = 500;
SELECT create_distributed_table('quality_metrics', 'customer_id', colocate_with => 'resource_metrics');
SELECT truncate_local_data_after_distributing_table('quality_metrics');
COMMIT;

-- quality_metrics 5 of 5: give the planner its statistics
-- locks quality_metrics: ShareUpdateExclusiveLock
ANALYZE quality_metrics;

-- __optiinfra_topology 1 of 1: record that it is done; what a new session sets for a transaction reaches the workers
BEGIN;
SET LOCAL lock_timeout = 500;
UPDATE __optiinfra_topology SET done_at = now();
ALTER DATABASE DATABASE SET citus.propagate_set_commands = 'local';
COMMIT;
