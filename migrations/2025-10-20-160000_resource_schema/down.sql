-- Removes the resource layer with everything in it.

SET LOCAL lock_timeout = '5s';

DROP TABLE scaling_events;
DROP TABLE resource_metrics;

DROP TYPE scaling_event_type;
DROP TYPE resource_type;
