-- IF NOT EXISTS would send a notice to the user's terminal. statements_reverted is younger than the table.
DO $$
BEGIN
    IF to_regclass(quote_ident(current_schema()) || '.__diesel_schema_migrations') IS NULL THEN
        CREATE TABLE __diesel_schema_migrations (
            version VARCHAR(50) PRIMARY KEY NOT NULL,
            run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
        );
    END IF;
    IF to_regclass(quote_ident(current_schema()) || '.__optiinfra_migrations') IS NULL THEN
        CREATE TABLE __optiinfra_migrations (
            version         varchar(50) PRIMARY KEY,
            name            text        NOT NULL,
            applied_at      timestamptz NOT NULL DEFAULT now(),
            seconds         double precision,
            tool_version    text        NOT NULL,
            file_hash       text        NOT NULL,
            content_hash    text        NOT NULL,
            compatible      boolean     NOT NULL,
            up_sql          text        NOT NULL,
            statements_done integer,
            adopted_from    text,
            repairs         jsonb       NOT NULL DEFAULT '[]'
        );
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass(quote_ident(current_schema()) || '.__optiinfra_migrations')
          AND attname = 'statements_reverted'
    ) THEN
        ALTER TABLE __optiinfra_migrations ADD COLUMN statements_reverted integer;
    END IF;
END
$$
