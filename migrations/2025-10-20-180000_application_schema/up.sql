-- The application layer: quality of the LLM answers, its baselines and its regressions.
-- The times here are without time zone, as deployed; the utc_timestamps migration mends that.
-- Reproduces Alembic revision 005_application_schema exactly; improvements are later migrations.
--
-- diesel-guard:disable AddIndexCheck
-- (the tables are made here: nobody waits for the locks of their indexes)
-- diesel-guard:disable TimestampTypeCheck
-- (as deployed; utc_timestamps mends it)

-- The foreign keys lock agents, customers and workflow_executions for a moment: waiting for that is bounded.
SET LOCAL lock_timeout = '5s';

CREATE TYPE baseline_type AS ENUM ('initial', 'updated', 'rollback');
CREATE TYPE regression_type AS ENUM (
    'quality_drop',
    'latency_increase',
    'hallucination_spike',
    'toxicity_increase'
);
CREATE TYPE regression_severity AS ENUM ('low', 'medium', 'high', 'critical');
CREATE TYPE regression_action AS ENUM ('alert_only', 'rollback_triggered', 'manual_review', 'auto_fixed');

CREATE TABLE quality_metrics (
    id                     uuid             PRIMARY KEY,
    agent_id               uuid             NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    customer_id            uuid             NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    request_id             varchar(255)     NOT NULL UNIQUE,
    model_name             varchar(100)     NOT NULL,
    model_version          varchar(50)      NOT NULL,
    prompt_tokens          integer,
    completion_tokens      integer,
    latency_ms             double precision,
    relevance_score        double precision,
    coherence_score        double precision,
    factuality_score       double precision,
    hallucination_detected boolean          NOT NULL DEFAULT false,
    toxicity_score         double precision,
    overall_quality_score  double precision NOT NULL,
    "timestamp"            timestamp        NOT NULL,
    metadata               jsonb            NOT NULL DEFAULT '{}',
    created_at             timestamp        NOT NULL DEFAULT now()
);
CREATE INDEX ix_quality_metrics_agent_id ON quality_metrics (agent_id);
CREATE INDEX ix_quality_metrics_agent_model ON quality_metrics (agent_id, model_name);
CREATE INDEX ix_quality_metrics_customer_id ON quality_metrics (customer_id);
CREATE INDEX ix_quality_metrics_customer_model ON quality_metrics (customer_id, model_name);
CREATE INDEX ix_quality_metrics_hallucination_detected ON quality_metrics (hallucination_detected);
CREATE INDEX ix_quality_metrics_id ON quality_metrics (id);
CREATE INDEX ix_quality_metrics_model_name ON quality_metrics (model_name);
CREATE INDEX ix_quality_metrics_model_timestamp ON quality_metrics (model_name, "timestamp");
CREATE INDEX ix_quality_metrics_overall_quality_score ON quality_metrics (overall_quality_score);
CREATE UNIQUE INDEX ix_quality_metrics_request_id ON quality_metrics (request_id);
CREATE INDEX ix_quality_metrics_timestamp ON quality_metrics ("timestamp");

CREATE TABLE quality_baselines (
    id                   uuid             PRIMARY KEY,
    agent_id             uuid             NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    customer_id          uuid             NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    model_name           varchar(100)     NOT NULL,
    model_version        varchar(50)      NOT NULL,
    baseline_type        baseline_type    NOT NULL,
    sample_size          integer          NOT NULL,
    avg_relevance_score  double precision,
    avg_coherence_score  double precision,
    avg_factuality_score double precision,
    avg_overall_score    double precision NOT NULL,
    p95_latency_ms       double precision,
    established_at       timestamp        NOT NULL,
    valid_until          timestamp,
    metadata             jsonb            NOT NULL DEFAULT '{}',
    created_at           timestamp        NOT NULL DEFAULT now()
);
CREATE INDEX ix_quality_baselines_agent_id ON quality_baselines (agent_id);
CREATE INDEX ix_quality_baselines_agent_model ON quality_baselines (agent_id, model_name);
CREATE INDEX ix_quality_baselines_baseline_type ON quality_baselines (baseline_type);
CREATE INDEX ix_quality_baselines_customer_id ON quality_baselines (customer_id);
CREATE INDEX ix_quality_baselines_customer_model ON quality_baselines (customer_id, model_name);
CREATE INDEX ix_quality_baselines_established_at ON quality_baselines (established_at);
CREATE INDEX ix_quality_baselines_id ON quality_baselines (id);
CREATE INDEX ix_quality_baselines_model_name ON quality_baselines (model_name);
CREATE INDEX ix_quality_baselines_type ON quality_baselines (baseline_type);

CREATE TABLE quality_regressions (
    id                    uuid                PRIMARY KEY,
    agent_id              uuid                NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    customer_id           uuid                NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    baseline_id           uuid                NOT NULL REFERENCES quality_baselines (id) ON DELETE CASCADE,
    workflow_execution_id uuid                REFERENCES workflow_executions (id) ON DELETE SET NULL,
    regression_type       regression_type     NOT NULL,
    severity              regression_severity NOT NULL,
    detected_at           timestamp           NOT NULL,
    metric_name           varchar(100)        NOT NULL,
    baseline_value        double precision    NOT NULL,
    current_value         double precision    NOT NULL,
    delta_percent         double precision    NOT NULL,
    sample_size           integer             NOT NULL,
    action_taken          regression_action   NOT NULL,
    resolved_at           timestamp,
    resolution_notes      text,
    metadata              jsonb               NOT NULL DEFAULT '{}',
    created_at            timestamp           NOT NULL DEFAULT now(),
    updated_at            timestamp           NOT NULL DEFAULT now()
);
CREATE INDEX ix_quality_regressions_action_taken ON quality_regressions (action_taken);
CREATE INDEX ix_quality_regressions_agent_id ON quality_regressions (agent_id);
CREATE INDEX ix_quality_regressions_agent_severity ON quality_regressions (agent_id, severity);
CREATE INDEX ix_quality_regressions_baseline ON quality_regressions (baseline_id);
CREATE INDEX ix_quality_regressions_baseline_id ON quality_regressions (baseline_id);
CREATE INDEX ix_quality_regressions_customer_id ON quality_regressions (customer_id);
CREATE INDEX ix_quality_regressions_customer_type ON quality_regressions (customer_id, regression_type);
CREATE INDEX ix_quality_regressions_detected_at ON quality_regressions (detected_at);
CREATE INDEX ix_quality_regressions_id ON quality_regressions (id);
CREATE INDEX ix_quality_regressions_regression_type ON quality_regressions (regression_type);
CREATE INDEX ix_quality_regressions_severity ON quality_regressions (severity);
CREATE INDEX ix_quality_regressions_unresolved ON quality_regressions (resolved_at);
CREATE INDEX ix_quality_regressions_workflow ON quality_regressions (workflow_execution_id);
CREATE INDEX ix_quality_regressions_workflow_execution_id ON quality_regressions (workflow_execution_id);
