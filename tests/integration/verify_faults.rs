//! Faults planted in the schema of a migrated database, one after the other: each is found, by every check that has to
//! see it and no other, and the SQL for it leaves a database without findings.

use diesel::connection::SimpleConnection;
use optiinfra_db::verify::{Outcome, Report};

use crate::support::{TestDb, verified};

/// A fault, and what is to be said of it.
struct Fault {
    name: &'static str,
    /// Makes it.
    sql: &'static str,
    /// All that `schema.contract` has to say.
    findings: &'static [&'static str],
    /// Every other check that has to fail.
    checks: &'static [&'static str],
    /// Whether the SQL of the findings fixes all of it. It does not where what was dropped took rows along, what was
    /// added may hold some, or the order of columns or labels cannot be changed.
    is_fixed: bool,
}

#[track_caller]
fn assert_found(faults: &[Fault], start: fn() -> TestDb) {
    for fault in faults {
        let db = start();
        db.conn().batch_execute(fault.sql).unwrap();
        let report = verified(&db);
        let contract = report.check("schema.contract").unwrap();
        let findings: Vec<_> = contract.findings.iter().map(ToString::to_string).collect();
        assert_eq!(findings, fault.findings, "{}", fault.name);
        let mut expected: Vec<_> = fault.checks.iter().chain(&["schema.contract"]).copied().collect();
        let mut failed: Vec<_> = report
            .checks
            .iter()
            .filter(|check| check.outcome == Outcome::Failed)
            .map(|check| check.id.as_str())
            .collect();
        expected.sort_unstable();
        failed.sort_unstable();
        assert_eq!(failed, expected, "{}", fault.name);
        assert_eq!(is_fixed(&db, &report), fault.is_fixed, "{}: {:#?}", fault.name, contract.findings);
        for finding in &contract.findings {
            assert!(finding.fix.is_some() || finding.next_step.is_some(), "{}: {finding}", fault.name);
        }
    }
}

/// Whether the SQL of the findings leaves a database without any. It runs as psql would run it: one statement at a time.
fn is_fixed(db: &TestDb, report: &Report) -> bool {
    let findings = &report.check("schema.contract").unwrap().findings;
    for statement in findings.iter().filter_map(|finding| finding.fix.as_deref()).flat_map(statements) {
        db.conn().batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    verified(db).is_clean()
}

/// The statements of a fix. A semicolon ends one where another begins behind it, and not in the body of a function.
fn statements(fix: &str) -> Vec<&str> {
    const BEGINNINGS: [&str; 5] = ["ALTER ", "COMMENT ", "CREATE ", "DROP ", "SELECT "];
    let ends = fix.match_indices("; ").map(|(at, _)| at);
    let ends =
        ends.filter(|at| !fix.contains("$fix$") && BEGINNINGS.iter().any(|begin| fix[at + 2..].starts_with(begin)));
    let mut begin = 0;
    let mut statements = Vec::new();
    for end in ends.chain([fix.len()]) {
        statements.push(&fix[begin..end]);
        begin = end + 2;
    }
    statements
}

#[test]
fn faults_of_columns() {
    assert_found(COLUMNS, TestDb::migrated);
}

const COLUMNS: &[Fault] = &[
    Fault {
        name: "a dropped column",
        sql: "ALTER TABLE resource_metrics DROP COLUMN unit",
        findings: &["column resource_metrics.unit: missing: character varying(50) NOT NULL"],
        checks: &["resource.columns"],
        is_fixed: false,
    },
    Fault {
        name: "a dropped column with an index with an index",
        sql: "ALTER TABLE agents DROP COLUMN last_heartbeat",
        findings: &[
            "column agents.last_heartbeat: missing: timestamp with time zone",
            "index agents.idx_agent_heartbeat: missing: btree (last_heartbeat)",
        ],
        checks: &["core.columns", "core.indexes", "schema.indexes"],
        is_fixed: false,
    },
    Fault {
        name: "an added column",
        sql: "ALTER TABLE customers ADD COLUMN phone text DEFAULT 'none'",
        findings: &["column customers.phone: unexpected: text DEFAULT 'none'::text"],
        checks: &["core.columns"],
        is_fixed: false,
    },
    Fault {
        name: "a renamed column",
        sql: "ALTER TABLE events RENAME COLUMN data TO payload",
        findings: &[
            "column events.data: missing: jsonb NOT NULL DEFAULT '{}'::jsonb",
            "column events.payload: unexpected: jsonb NOT NULL DEFAULT '{}'::jsonb",
        ],
        checks: &["core.columns"],
        is_fixed: true,
    },
    Fault {
        name: "columns in another order",
        sql: "ALTER TABLE quality_regressions RENAME COLUMN baseline_value TO x;
         ALTER TABLE quality_regressions RENAME COLUMN current_value TO baseline_value;
         ALTER TABLE quality_regressions RENAME COLUMN x TO current_value;
         COMMENT ON COLUMN quality_regressions.baseline_value IS 'Value of the metric in the baseline.';
         COMMENT ON COLUMN quality_regressions.current_value IS 'Value of the metric when detected.'",
        findings: &[
            "column order quality_regressions: expected id, agent_id, customer_id, baseline_id, workflow_execution_id, \
             regression_type, severity, detected_at, metric_name, baseline_value, current_value, delta_percent, \
             sample_size, action_taken, resolved_at, resolution_notes, metadata, created_at, updated_at, found id, \
             agent_id, customer_id, baseline_id, workflow_execution_id, regression_type, severity, detected_at, \
             metric_name, current_value, baseline_value, delta_percent, sample_size, action_taken, resolved_at, \
             resolution_notes, metadata, created_at, updated_at",
        ],
        checks: &["application.columns"],
        is_fixed: false,
    },
    Fault {
        name: "another type",
        sql: "ALTER TABLE agents ALTER COLUMN version TYPE varchar(20)",
        findings: &["column agents.version: expected character varying(50), found character varying(20)"],
        checks: &["core.columns"],
        is_fixed: true,
    },
    Fault {
        name: "a time without its zone",
        sql: "ALTER TABLE resource_metrics ALTER COLUMN created_at TYPE timestamp",
        findings: &["column resource_metrics.created_at: expected timestamp with time zone NOT NULL DEFAULT now(), \
             found timestamp without time zone NOT NULL DEFAULT now()"],
        checks: &["resource.columns", "time.zones"],
        is_fixed: true,
    },
    Fault {
        name: "another default",
        sql: "ALTER TABLE workflow_steps ALTER COLUMN max_retries SET DEFAULT 5",
        findings: &[
            "column workflow_steps.max_retries: expected integer NOT NULL DEFAULT 3, found integer NOT NULL DEFAULT 5",
        ],
        checks: &["workflow_history.columns"],
        is_fixed: true,
    },
    Fault {
        name: "a dropped default",
        sql: "ALTER TABLE quality_metrics ALTER COLUMN id DROP DEFAULT",
        findings: &["column quality_metrics.id: expected uuid NOT NULL DEFAULT gen_random_uuid(), found uuid NOT NULL"],
        checks: &["application.columns"],
        is_fixed: true,
    },
    Fault {
        name: "a dropped not null",
        sql: "ALTER TABLE customers ALTER COLUMN email DROP NOT NULL",
        findings: &["column customers.email: expected character varying(255) NOT NULL, found character varying(255)"],
        checks: &["core.columns"],
        is_fixed: true,
    },
    Fault {
        name: "an added not null",
        sql: "ALTER TABLE agents ALTER COLUMN endpoint SET NOT NULL",
        findings: &["column agents.endpoint: expected character varying(255), found character varying(255) NOT NULL"],
        checks: &["core.columns"],
        is_fixed: true,
    },
    Fault {
        name: "a generated column",
        sql: "ALTER TABLE workflow_steps DROP COLUMN step_name;
         ALTER TABLE workflow_steps ADD COLUMN step_name varchar(255) NOT NULL GENERATED ALWAYS AS ('step') STORED;
         CREATE INDEX ix_workflow_steps_step_name ON workflow_steps (step_name);
         CREATE INDEX ix_workflow_steps_name_status ON workflow_steps (step_name, status);
         COMMENT ON COLUMN workflow_steps.step_name IS 'Name of the step.'",
        findings: &[
            "column order workflow_steps: expected id, workflow_execution_id, step_name, step_order, status, \
             started_at, completed_at, input_data, output_data, error_details, retry_count, max_retries, metadata, \
             created_at, updated_at, found id, workflow_execution_id, step_order, status, started_at, completed_at, \
             input_data, output_data, error_details, retry_count, max_retries, metadata, created_at, updated_at, \
             step_name",
            "column workflow_steps.step_name: expected character varying(255) NOT NULL, \
             found character varying(255) NOT NULL GENERATED ALWAYS AS 'step'::character varying STORED",
        ],
        checks: &["workflow_history.columns"],
        is_fixed: false,
    },
];

#[test]
fn faults_of_tables_and_row_security() {
    assert_found(TABLES, TestDb::plain);
}

const TABLES: &[Fault] = &[
    Fault {
        name: "a dropped table",
        sql: "DROP TABLE approvals",
        findings: &["table approvals: missing: table, row security"],
        checks: &[
            "core.tables",
            "schema.tables",
            "core.columns",
            "core.indexes",
            "schema.indexes",
            "core.foreign_keys",
            "schema.foreign_keys",
            "core.constraints",
            "core.cascades",
            "schema.primary_keys",
            "schema.triggers",
            "schema.policies",
        ],
        is_fixed: false,
    },
    Fault {
        name: "an extra table",
        sql: "CREATE TABLE notes (id serial PRIMARY KEY, customer_id uuid REFERENCES customers ON DELETE CASCADE)",
        findings: &["table notes: unexpected: table"],
        checks: &["schema.tables", "schema.indexes", "schema.foreign_keys"],
        is_fixed: false,
    },
    Fault {
        name: "a table that became a view",
        sql: "ALTER TABLE approvals RENAME TO _approvals; CREATE VIEW approvals AS SELECT id FROM _approvals",
        findings: &[
            "table _approvals: unexpected: table, row security",
            "table approvals: expected table, row security, found view",
            "column approvals.approved_by: missing: character varying(255) NOT NULL",
            "column approvals.comment: missing: text",
            "column approvals.created_at: missing: timestamp with time zone NOT NULL DEFAULT now()",
            "column approvals.id: expected uuid NOT NULL DEFAULT gen_random_uuid(), found uuid",
            "column approvals.recommendation_id: missing: uuid NOT NULL",
            "column approvals.status: missing: approvalstatus NOT NULL DEFAULT 'pending'::approvalstatus",
            "column approvals.updated_at: missing: timestamp with time zone NOT NULL DEFAULT now()",
            "constraint approvals.approvals_pkey: missing: PRIMARY KEY (id)",
            "constraint approvals.approvals_recommendation_id_fkey: missing: \
             FOREIGN KEY (recommendation_id) REFERENCES recommendations(id) ON DELETE CASCADE",
            "index approvals.idx_approval_rec: missing: btree (recommendation_id)",
            "index approvals.idx_approval_status: missing: btree (status)",
            "trigger approvals.set_updated_at: missing: BEFORE UPDATE ON approvals FOR EACH ROW WHEN \
             (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at()",
            "policy approvals.tenant_isolation: missing: AS PERMISSIVE FOR ALL TO PUBLIC USING ((EXISTS ( SELECT FROM \
             recommendations r WHERE (r.id = approvals.recommendation_id)))) WITH CHECK ((EXISTS ( SELECT FROM \
             recommendations r WHERE (r.id = approvals.recommendation_id))))",
            "comment approvals: missing: Decisions of people on recommendations.",
            "comment approvals.id: missing: Primary key.",
        ],
        checks: &[
            "core.tables",
            "schema.tables",
            "core.columns",
            "core.indexes",
            "schema.indexes",
            "core.foreign_keys",
            "schema.foreign_keys",
            "core.constraints",
            "core.cascades",
            "schema.primary_keys",
            "schema.triggers",
            "schema.policies",
        ],
        is_fixed: false,
    },
    Fault {
        name: "an extra view",
        sql: "CREATE VIEW spenders AS SELECT name FROM customers",
        findings: &["table spenders: unexpected: view"],
        checks: &["schema.tables"],
        is_fixed: false,
    },
    Fault {
        name: "an extra sequence",
        sql: "CREATE SEQUENCE tickets",
        findings: &["table tickets: unexpected: sequence"],
        checks: &["schema.tables"],
        is_fixed: false,
    },
    Fault {
        name: "an unlogged table",
        sql: "ALTER TABLE agent_metrics SET UNLOGGED",
        findings: &["table agent_metrics: expected table, found unlogged table"],
        checks: &["agent_state.tables", "schema.tables"],
        is_fixed: true,
    },
    Fault {
        name: "row security that nobody asked for",
        sql: "ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON agents FOR SELECT USING (name = current_user)",
        findings: &[
            "table agents: expected table, found table, row security",
            "policy agents.own: unexpected: AS PERMISSIVE FOR SELECT TO PUBLIC USING (((name)::text = CURRENT_USER))",
        ],
        checks: &["core.tables", "schema.tables", "schema.policies"],
        is_fixed: true,
    },
    Fault {
        name: "row security that is off",
        sql: "ALTER TABLE quality_metrics DISABLE ROW LEVEL SECURITY",
        findings: &["table quality_metrics: expected table, row security, found table"],
        checks: &["application.tables", "schema.tables", "schema.policies"],
        is_fixed: true,
    },
    Fault {
        name: "row security for the owner",
        sql: "ALTER TABLE events FORCE ROW LEVEL SECURITY",
        findings: &[
            "table events: expected table, row security, found table, row security, row security also for the owner",
        ],
        checks: &["core.tables", "schema.tables", "schema.policies"],
        is_fixed: true,
    },
    Fault {
        name: "a dropped policy",
        sql: "DROP POLICY tenant_isolation ON approvals",
        findings: &[
            "policy approvals.tenant_isolation: missing: AS PERMISSIVE FOR ALL TO PUBLIC USING ((EXISTS ( SELECT FROM \
             recommendations r WHERE (r.id = approvals.recommendation_id)))) WITH CHECK ((EXISTS ( SELECT FROM \
             recommendations r WHERE (r.id = approvals.recommendation_id))))",
        ],
        checks: &["schema.policies"],
        is_fixed: true,
    },
    Fault {
        name: "a policy that shows everything",
        sql: "ALTER POLICY tenant_isolation ON events USING (true)",
        findings: &[
            "policy events.tenant_isolation: expected AS PERMISSIVE FOR ALL TO PUBLIC USING ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))), found AS PERMISSIVE FOR ALL TO PUBLIC USING (true) \
             WITH CHECK ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\")))",
        ],
        checks: &["schema.policies"],
        is_fixed: true,
    },
    Fault {
        name: "a policy that checks no writes",
        sql: "ALTER POLICY tenant_isolation ON events WITH CHECK (true)",
        findings: &[
            "policy events.tenant_isolation: expected AS PERMISSIVE FOR ALL TO PUBLIC USING ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))), found AS PERMISSIVE FOR ALL TO PUBLIC USING ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK (true)",
        ],
        checks: &["schema.policies"],
        is_fixed: true,
    },
    Fault {
        name: "a policy that holds for some only",
        sql: "ALTER POLICY tenant_isolation ON customers TO pg_monitor",
        findings: &["policy customers.tenant_isolation: expected AS PERMISSIVE FOR ALL TO PUBLIC \
             USING ((id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK ((id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))), \
             found AS PERMISSIVE FOR ALL TO pg_monitor USING ((id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK ((id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\")))"],
        checks: &["schema.policies"],
        is_fixed: true,
    },
    Fault {
        name: "a policy too many",
        sql: "CREATE POLICY support ON workflow_steps TO pg_monitor USING (true)",
        findings: &["policy workflow_steps.support: unexpected: AS PERMISSIVE FOR ALL TO pg_monitor USING (true)"],
        checks: &["schema.policies"],
        is_fixed: true,
    },
    Fault {
        name: "a policy for everybody under the name of one for operators",
        sql: "CREATE POLICY cross_customer_read ON events FOR SELECT USING (true)",
        findings: &["policy events.cross_customer_read: unexpected: AS PERMISSIVE FOR SELECT TO PUBLIC USING (true)"],
        checks: &["schema.policies"],
        is_fixed: true,
    },
];

#[test]
fn faults_of_types() {
    assert_found(TYPES, TestDb::migrated);
}

const TYPES: &[Fault] = &[
    Fault {
        name: "an added label",
        sql: "ALTER TYPE customerplan ADD VALUE 'trial' BEFORE 'startup'",
        findings: &["enum customerplan: expected free, startup, enterprise, found free, trial, startup, enterprise"],
        checks: &["core.enums", "schema.enums"],
        is_fixed: false,
    },
    Fault {
        name: "a renamed label",
        sql: "ALTER TYPE resource_type RENAME VALUE 'network' TO 'net'",
        findings: &[
            "index resource_metrics.ix_resource_metrics_customer_network_timestamp: expected btree (customer_id, \
             \"timestamp\") WHERE resource_type = 'network'::resource_type, found btree (customer_id, \"timestamp\") WHERE \
             resource_type = 'net'::resource_type",
            "enum resource_type: expected gpu, cpu, memory, disk, network, found gpu, cpu, memory, disk, net",
        ],
        checks: &["resource.enums", "schema.enums", "resource.indexes", "schema.indexes"],
        is_fixed: true,
    },
    Fault {
        name: "a renamed label used in a default",
        sql: "ALTER TYPE configtype RENAME VALUE 'string' TO 'text'",
        findings: &[
            "column agent_configs.config_type: expected configtype NOT NULL DEFAULT 'string'::configtype, \
             found configtype NOT NULL DEFAULT 'text'::configtype",
            "enum configtype: expected string, integer, float, boolean, json, found text, integer, float, boolean, json",
        ],
        checks: &["agent_state.enums", "schema.enums", "agent_state.columns"],
        is_fixed: true,
    },
    Fault {
        name: "labels in another order",
        sql: "ALTER TYPE regression_severity RENAME VALUE 'low' TO 'x';
         ALTER TYPE regression_severity RENAME VALUE 'high' TO 'low';
         ALTER TYPE regression_severity RENAME VALUE 'x' TO 'high'",
        findings: &[
            "enum regression_severity: expected low, medium, high, critical, found high, medium, low, critical",
        ],
        checks: &["application.enums", "schema.enums"],
        is_fixed: false,
    },
    Fault {
        name: "a renamed type",
        sql: "ALTER TYPE baseline_type RENAME TO kind_of_baseline",
        findings: &[
            "column quality_baselines.baseline_type: expected baseline_type NOT NULL, found kind_of_baseline NOT NULL",
            "enum baseline_type: missing: initial, updated, rollback",
            "enum kind_of_baseline: unexpected: initial, updated, rollback",
        ],
        checks: &["application.enums", "schema.enums", "application.columns"],
        is_fixed: true,
    },
    Fault {
        name: "an extra type",
        sql: "CREATE TYPE colour AS ENUM ('red'); CREATE DOMAIN percent AS float8 CHECK (VALUE <= 100)",
        findings: &["enum colour: unexpected: red", "type percent: unexpected: domain double precision"],
        checks: &["schema.enums"],
        is_fixed: true,
    },
];

#[test]
fn faults_of_indexes() {
    assert_found(INDEXES, TestDb::plain);
}

const INDEXES: &[Fault] = &[
    Fault {
        name: "a dropped index",
        sql: "DROP INDEX idx_customer_email",
        findings: &["index customers.idx_customer_email: missing: btree (email)"],
        checks: &["core.indexes", "schema.indexes"],
        is_fixed: true,
    },
    Fault {
        name: "an extra index",
        sql: "CREATE INDEX by_unit ON resource_metrics USING brin (created_at) WHERE unit = 'percent'",
        findings: &["index resource_metrics.by_unit: unexpected: brin (created_at) WHERE unit::text = 'percent'::text"],
        checks: &["resource.indexes", "schema.indexes"],
        is_fixed: true,
    },
    Fault {
        name: "an index on other columns",
        sql: "DROP INDEX ix_scaling_events_agent_type;
         CREATE INDEX ix_scaling_events_agent_type ON scaling_events (event_type, agent_id)",
        findings: &["index scaling_events.ix_scaling_events_agent_type: expected btree (agent_id, event_type), \
             found btree (event_type, agent_id)"],
        checks: &["resource.indexes", "schema.indexes"],
        is_fixed: true,
    },
    Fault {
        name: "an index that became unique",
        sql: "DROP INDEX ix_quality_metrics_agent_model;
         CREATE UNIQUE INDEX ix_quality_metrics_agent_model ON quality_metrics (agent_id, model_name)",
        findings: &["index quality_metrics.ix_quality_metrics_agent_model: expected btree (agent_id, model_name), \
             found UNIQUE btree (agent_id, model_name)"],
        checks: &["application.indexes", "schema.indexes"],
        is_fixed: true,
    },
    Fault {
        name: "an invalid index",
        sql: "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_agent_type'::regclass",
        findings: &["index agents.idx_agent_type: expected btree (type), found btree (type) INVALID"],
        checks: &["core.indexes", "schema.indexes"],
        is_fixed: true,
    },
];

#[test]
fn faults_of_foreign_keys() {
    assert_found(REFERENCES, TestDb::plain);
}

const REFERENCES: &[Fault] = &[
    Fault {
        name: "another action on delete",
        sql: "ALTER TABLE events DROP CONSTRAINT events_agent_id_fkey,
            ADD CONSTRAINT events_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE CASCADE",
        findings: &["constraint events.events_agent_id_fkey: expected FOREIGN KEY (agent_id) REFERENCES agents(id) \
             ON DELETE SET NULL, found FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE"],
        checks: &["core.cascades"],
        is_fixed: true,
    },
    Fault {
        name: "no action on delete",
        sql: "ALTER TABLE scaling_events DROP CONSTRAINT scaling_events_customer_id_fkey,
            ADD CONSTRAINT scaling_events_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id)",
        findings: &[
            "constraint scaling_events.scaling_events_customer_id_fkey: expected FOREIGN KEY (customer_id) REFERENCES \
             customers(id) ON DELETE CASCADE, found FOREIGN KEY (customer_id) REFERENCES customers(id)",
        ],
        checks: &["resource.cascades"],
        is_fixed: true,
    },
    Fault {
        name: "a dropped foreign key",
        sql: "ALTER TABLE agent_states DROP CONSTRAINT fk_agent_states_current_workflow",
        findings: &[
            "constraint agent_states.fk_agent_states_current_workflow: missing: FOREIGN KEY (current_workflow_id) \
             REFERENCES workflow_executions(id) ON DELETE SET NULL",
        ],
        checks: &["agent_state.foreign_keys", "schema.foreign_keys", "agent_state.cascades"],
        is_fixed: true,
    },
    Fault {
        name: "a foreign key that was never validated",
        sql: "ALTER TABLE workflow_artifacts DROP CONSTRAINT workflow_artifacts_workflow_step_id_fkey,
            ADD CONSTRAINT workflow_artifacts_workflow_step_id_fkey FOREIGN KEY (workflow_step_id)
            REFERENCES workflow_steps (id) ON DELETE CASCADE NOT VALID",
        findings: &["constraint workflow_artifacts.workflow_artifacts_workflow_step_id_fkey: expected FOREIGN KEY \
             (workflow_step_id) REFERENCES workflow_steps(id) ON DELETE CASCADE, found FOREIGN KEY (workflow_step_id) \
             REFERENCES workflow_steps(id) ON DELETE CASCADE NOT VALID"],
        checks: &["workflow_history.foreign_keys", "schema.foreign_keys"],
        is_fixed: true,
    },
    Fault {
        name: "foreign keys whose triggers are off",
        sql: "ALTER TABLE recommendations DISABLE TRIGGER ALL",
        findings: &[
            "constraint approvals.approvals_recommendation_id_fkey: expected FOREIGN KEY (recommendation_id) \
             REFERENCES recommendations(id) ON DELETE CASCADE, found FOREIGN KEY (recommendation_id) \
             REFERENCES recommendations(id) ON DELETE CASCADE (NOT ENFORCED: its triggers are disabled)",
            "constraint optimizations.optimizations_recommendation_id_fkey: expected FOREIGN KEY (recommendation_id) \
             REFERENCES recommendations(id) ON DELETE CASCADE, found FOREIGN KEY (recommendation_id) REFERENCES \
             recommendations(id) ON DELETE CASCADE (NOT ENFORCED: its triggers are disabled)",
            "constraint recommendations.recommendations_agent_id_fkey: expected FOREIGN KEY (agent_id) REFERENCES \
             agents(id) ON DELETE CASCADE, found FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE \
             (NOT ENFORCED: its triggers are disabled)",
            "constraint recommendations.recommendations_customer_id_fkey: expected FOREIGN KEY (customer_id) \
             REFERENCES customers(id) ON DELETE CASCADE, found FOREIGN KEY (customer_id) REFERENCES \
             customers(id) ON DELETE CASCADE (NOT ENFORCED: its triggers are disabled)",
            "trigger recommendations.set_updated_at: expected BEFORE UPDATE ON recommendations FOR EACH ROW WHEN \
             (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at(), found BEFORE UPDATE ON recommendations \
             FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at() (disabled)",
        ],
        checks: &["core.foreign_keys", "schema.foreign_keys", "schema.triggers"],
        is_fixed: true,
    },
];

#[test]
fn faults_of_keys_and_checks() {
    assert_found(KEYS_AND_CHECKS, TestDb::migrated);
}

const KEYS_AND_CHECKS: &[Fault] = &[
    Fault {
        name: "a dropped check",
        sql: "ALTER TABLE optimizations DROP CONSTRAINT check_progress_range",
        findings: &[
            "constraint optimizations.check_progress_range: missing: CHECK (((progress >= 0) AND (progress <= 100)))",
        ],
        checks: &["core.constraints"],
        is_fixed: true,
    },
    Fault {
        name: "a wider check",
        sql: "ALTER TABLE optimizations DROP CONSTRAINT check_progress_range,
            ADD CONSTRAINT check_progress_range CHECK (progress BETWEEN 0 AND 200)",
        findings: &[
            "constraint optimizations.check_progress_range: expected CHECK (((progress >= 0) AND (progress <= 100))), \
             found CHECK (((progress >= 0) AND (progress <= 200)))",
        ],
        checks: &["core.constraints"],
        is_fixed: true,
    },
    Fault {
        name: "a dropped unique constraint",
        sql: "ALTER TABLE customers DROP CONSTRAINT customers_api_key_key",
        findings: &["constraint customers.customers_api_key_key: missing: UNIQUE (api_key)"],
        checks: &["core.constraints", "core.indexes", "schema.indexes"],
        is_fixed: true,
    },
    Fault {
        name: "a dropped primary key",
        sql: "ALTER TABLE agent_capabilities DROP CONSTRAINT agent_capabilities_pkey",
        findings: &["constraint agent_capabilities.agent_capabilities_pkey: missing: PRIMARY KEY (id)"],
        checks: &["agent_state.constraints", "agent_state.indexes", "schema.indexes", "schema.primary_keys"],
        is_fixed: true,
    },
];

#[test]
fn faults_of_triggers_and_functions() {
    assert_found(TRIGGERS, TestDb::migrated);
}

const TRIGGERS: &[Fault] = &[
    Fault {
        name: "a disabled trigger",
        sql: "ALTER TABLE agents DISABLE TRIGGER set_updated_at",
        findings: &[
            "trigger agents.set_updated_at: expected BEFORE UPDATE ON agents FOR EACH ROW WHEN (old.* IS DISTINCT FROM \
             new.*) EXECUTE FUNCTION set_updated_at(), found BEFORE UPDATE ON agents FOR EACH ROW WHEN (old.* IS \
             DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at() (disabled)",
        ],
        checks: &["schema.triggers"],
        is_fixed: true,
    },
    Fault {
        name: "a dropped trigger",
        sql: "DROP TRIGGER set_updated_at ON workflow_steps",
        findings: &[
            "trigger workflow_steps.set_updated_at: missing: BEFORE UPDATE ON workflow_steps FOR EACH ROW WHEN \
             (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at()",
        ],
        checks: &["schema.triggers"],
        is_fixed: true,
    },
    Fault {
        name: "another function body",
        sql: "CREATE OR REPLACE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        findings: &["function set_updated_at(): expected RETURNS trigger LANGUAGE plpgsql AS \\nBEGIN\\n    IF \
             NEW.updated_at IS NOT DISTINCT \
             FROM OLD.updated_at THEN\\n        NEW.updated_at := now();\\n    END IF;\\n    RETURN \
             NEW;\\nEND\\n, found RETURNS trigger LANGUAGE plpgsql AS BEGIN RETURN NEW; END"],
        checks: &["schema.triggers"],
        is_fixed: true,
    },
    Fault {
        name: "an extra function",
        sql: "CREATE FUNCTION one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
        findings: &["function one(): unexpected: RETURNS integer LANGUAGE sql IMMUTABLE AS SELECT 1"],
        checks: &[],
        is_fixed: true,
    },
];

#[test]
fn faults_of_comments() {
    assert_found(COMMENTS, TestDb::migrated);
}

const COMMENTS: &[Fault] = &[
    Fault {
        name: "another comment",
        sql: "COMMENT ON COLUMN customers.id IS 'Changed.'",
        findings: &["comment customers.id: expected Primary key., found Changed."],
        checks: &[],
        is_fixed: true,
    },
    Fault {
        name: "a dropped comment",
        sql: "COMMENT ON TYPE customerplan IS NULL",
        findings: &["comment customerplan: missing: Subscription plan of a customer."],
        checks: &[],
        is_fixed: true,
    },
];

#[test]
fn a_table_that_vacuum_leaves_alone_is_found_in_any_spelling() {
    for setting in
        ["autovacuum_enabled = off", "autovacuum_enabled = 0", "autovacuum_enabled = no", "vacuum_index_cleanup = off"]
    {
        let db = TestDb::plain();
        db.conn().batch_execute(&format!("ALTER TABLE events SET ({setting})")).unwrap();
        let report = verified(&db);
        let check = report.check("schema.storage").unwrap();
        assert_eq!(
            check.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!("table events: is stored with {setting}")]
        );
        assert_eq!(report.failed, 1, "{setting}");
        db.conn().batch_execute(check.findings[0].fix.as_deref().unwrap()).unwrap();
        assert!(verified(&db).is_clean());
    }
    let db = TestDb::plain();
    db.conn().batch_execute("ALTER TABLE events SET (toast.autovacuum_enabled = false)").unwrap();
    let fix = verified(&db).check("schema.storage").unwrap().findings[0].fix.clone();
    assert_eq!(fix.as_deref(), Some("ALTER TABLE events RESET (toast.autovacuum_enabled)"));
    db.conn()
        .batch_execute(
            "ALTER TABLE events RESET (toast.autovacuum_enabled), SET (autovacuum_enabled = on, fillfactor = 80)",
        )
        .unwrap();
    assert!(verified(&db).is_clean(), "what does no harm is the administrator's");
}

#[test]
fn the_sql_for_an_index_never_leaves_the_table_without_one() {
    let db = TestDb::plain();
    db.conn().batch_execute("DROP INDEX idx_event_type; CREATE INDEX idx_event_type ON events (severity)").unwrap();
    let report = verified(&db);
    let fix = report.check("schema.contract").unwrap().findings[0].fix.clone().unwrap();
    assert_eq!(
        statements(&fix),
        [
            "CREATE INDEX CONCURRENTLY idx_event_type_new ON events USING btree (event_type)",
            "DROP INDEX CONCURRENTLY idx_event_type",
            "ALTER INDEX idx_event_type_new RENAME TO idx_event_type",
        ]
    );
}

#[test]
fn the_sql_for_a_key_shows_the_duplicates_in_its_way() {
    let db = TestDb::seeded_now();
    let mut conn = db.conn();
    conn.batch_execute(
        "ALTER TABLE customers DROP CONSTRAINT customers_email_key;
         UPDATE customers SET email = 'same@example.com' WHERE name IN ('Acme Corp', 'StartupCo')",
    )
    .unwrap();
    let report = verified(&db);
    let fix = report.check("schema.contract").unwrap().findings[0].fix.clone().unwrap();
    let statements = statements(&fix);
    assert_eq!(
        crate::support::number(&mut conn, &format!("SELECT sum(duplicates)::bigint FROM ({}) d", statements[0])),
        2
    );
    assert!(conn.batch_execute(statements[1]).is_err(), "two have the same");
    conn.batch_execute("DROP INDEX customers_email_key; UPDATE customers SET email = name").unwrap();
    for statement in statements {
        conn.batch_execute(statement).unwrap();
    }
    assert_eq!(verified(&db).check("schema.contract").unwrap().findings, []);
}
