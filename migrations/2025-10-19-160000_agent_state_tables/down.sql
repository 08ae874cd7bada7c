-- Removes the agent_state layer with everything in it.

SET LOCAL lock_timeout = '5s';

DROP TABLE agent_metrics;
DROP TABLE agent_capabilities;
DROP TABLE agent_states;
DROP TABLE agent_configs;

DROP TYPE metrictype;
DROP TYPE agentstatusdetail;
DROP TYPE configtype;
