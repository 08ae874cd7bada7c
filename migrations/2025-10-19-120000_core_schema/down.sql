-- Removes the core layer with everything in it.

DROP TABLE optimizations;
DROP TABLE approvals;
DROP TABLE recommendations;
DROP TABLE events;
DROP TABLE agents;
DROP TABLE customers;

DROP TYPE optimizationstatus;
DROP TYPE approvalstatus;
DROP TYPE recommendationstatus;
DROP TYPE recommendationpriority;
DROP TYPE eventseverity;
DROP TYPE agentstatus;
DROP TYPE agenttype;
DROP TYPE customerstatus;
DROP TYPE customerplan;
