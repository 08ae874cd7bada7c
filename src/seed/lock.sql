-- One seeder at a time in a schema of a database; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(
    hashtextextended(format('optiinfra-dbctl seed %I.%I', current_database(), coalesce(current_schema(), '')), 0)
);
