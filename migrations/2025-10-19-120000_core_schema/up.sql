-- The core layer: customers, agents, and what happens between them.
-- Reproduces Alembic revision 001_core_schema exactly; improvements are later migrations.
--
-- diesel-guard:disable AddIndexCheck
-- (the tables are made here: nobody waits for the locks of their indexes)

CREATE TYPE customerplan AS ENUM ('free', 'startup', 'enterprise');
CREATE TYPE customerstatus AS ENUM ('active', 'suspended', 'churned');
CREATE TYPE agenttype AS ENUM ('orchestrator', 'cost', 'performance', 'resource', 'application');
CREATE TYPE agentstatus AS ENUM ('starting', 'healthy', 'degraded', 'failed', 'stopped');
CREATE TYPE eventseverity AS ENUM ('info', 'warning', 'error', 'critical');
CREATE TYPE recommendationpriority AS ENUM ('low', 'medium', 'high', 'critical');
CREATE TYPE recommendationstatus AS ENUM (
    'pending',
    'approved',
    'rejected',
    'executing',
    'completed',
    'failed',
    'rolled_back'
);
CREATE TYPE approvalstatus AS ENUM ('pending', 'approved', 'rejected');
CREATE TYPE optimizationstatus AS ENUM ('queued', 'executing', 'completed', 'failed', 'rolled_back');

CREATE TABLE customers (
    id         uuid           PRIMARY KEY,
    name       varchar(255)   NOT NULL,
    email      varchar(255)   NOT NULL UNIQUE,
    api_key    varchar(64)    NOT NULL UNIQUE,
    plan       customerplan   NOT NULL DEFAULT 'free',
    status     customerstatus NOT NULL DEFAULT 'active',
    metadata   jsonb          DEFAULT '{}',
    created_at timestamptz    NOT NULL DEFAULT now(),
    updated_at timestamptz    NOT NULL DEFAULT now()
);
CREATE INDEX idx_customer_api_key ON customers (api_key);
CREATE INDEX idx_customer_email ON customers (email);
CREATE INDEX idx_customer_status ON customers (status);

CREATE TABLE agents (
    id             uuid         PRIMARY KEY,
    type           agenttype    NOT NULL,
    name           varchar(255) NOT NULL,
    version        varchar(50),
    status         agentstatus  NOT NULL DEFAULT 'starting',
    endpoint       varchar(255),
    capabilities   jsonb        NOT NULL DEFAULT '[]',
    metadata       jsonb        DEFAULT '{}',
    last_heartbeat timestamptz,
    created_at     timestamptz  NOT NULL DEFAULT now(),
    updated_at     timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT uq_agent_type_name UNIQUE (type, name)
);
CREATE INDEX idx_agent_heartbeat ON agents (last_heartbeat);
CREATE INDEX idx_agent_status ON agents (status);
CREATE INDEX idx_agent_type ON agents (type);

CREATE TABLE events (
    id          uuid          PRIMARY KEY,
    customer_id uuid          NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    agent_id    uuid          REFERENCES agents (id) ON DELETE SET NULL,
    event_type  varchar(100)  NOT NULL,
    severity    eventseverity NOT NULL DEFAULT 'info',
    data        jsonb         NOT NULL DEFAULT '{}',
    created_at  timestamptz   NOT NULL DEFAULT now()
);
CREATE INDEX idx_event_agent ON events (agent_id);
CREATE INDEX idx_event_created ON events (created_at);
CREATE INDEX idx_event_customer ON events (customer_id);
CREATE INDEX idx_event_customer_created ON events (customer_id, created_at);
CREATE INDEX idx_event_severity ON events (severity);
CREATE INDEX idx_event_type ON events (event_type);

CREATE TABLE recommendations (
    id                    uuid                   PRIMARY KEY,
    customer_id           uuid                   NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    agent_id              uuid                   NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    type                  varchar(100)           NOT NULL,
    title                 varchar(255)           NOT NULL,
    description           text,
    estimated_savings     numeric(10,2),
    estimated_improvement numeric(10,2),
    confidence_score      double precision       NOT NULL DEFAULT '0',
    priority              recommendationpriority NOT NULL DEFAULT 'medium',
    status                recommendationstatus   NOT NULL DEFAULT 'pending',
    data                  jsonb                  NOT NULL DEFAULT '{}',
    created_at            timestamptz            NOT NULL DEFAULT now(),
    updated_at            timestamptz            NOT NULL DEFAULT now(),
    approved_at           timestamptz,
    executed_at           timestamptz,
    CONSTRAINT check_confidence_range CHECK (confidence_score >= 0.0 AND confidence_score <= 1.0)
);
CREATE INDEX idx_rec_agent ON recommendations (agent_id);
CREATE INDEX idx_rec_created ON recommendations (created_at);
CREATE INDEX idx_rec_customer ON recommendations (customer_id);
CREATE INDEX idx_rec_customer_status ON recommendations (customer_id, status);
CREATE INDEX idx_rec_priority ON recommendations (priority);
CREATE INDEX idx_rec_status ON recommendations (status);
CREATE INDEX idx_rec_type ON recommendations (type);

CREATE TABLE approvals (
    id                uuid           PRIMARY KEY,
    recommendation_id uuid           NOT NULL REFERENCES recommendations (id) ON DELETE CASCADE,
    approved_by       varchar(255)   NOT NULL,
    status            approvalstatus NOT NULL DEFAULT 'pending',
    comment           text,
    created_at        timestamptz    NOT NULL DEFAULT now(),
    updated_at        timestamptz    NOT NULL DEFAULT now()
);
CREATE INDEX idx_approval_rec ON approvals (recommendation_id);
CREATE INDEX idx_approval_status ON approvals (status);

CREATE TABLE optimizations (
    id                 uuid               PRIMARY KEY,
    recommendation_id  uuid               NOT NULL REFERENCES recommendations (id) ON DELETE CASCADE,
    customer_id        uuid               NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    agent_id           uuid               NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    status             optimizationstatus NOT NULL DEFAULT 'queued',
    progress           integer            NOT NULL DEFAULT 0,
    result             jsonb              DEFAULT '{}',
    error              text,
    actual_savings     numeric(10,2),
    actual_improvement numeric(10,2),
    started_at         timestamptz,
    completed_at       timestamptz,
    rolled_back_at     timestamptz,
    created_at         timestamptz        NOT NULL DEFAULT now(),
    CONSTRAINT check_progress_range CHECK (progress >= 0 AND progress <= 100)
);
CREATE INDEX idx_opt_agent ON optimizations (agent_id);
CREATE INDEX idx_opt_customer ON optimizations (customer_id);
CREATE INDEX idx_opt_customer_status ON optimizations (customer_id, status);
CREATE INDEX idx_opt_rec ON optimizations (recommendation_id);
CREATE INDEX idx_opt_status ON optimizations (status);
