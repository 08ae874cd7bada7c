hashtextextended(format('optiinfra-dbctl seed %I.%I', current_database(), coalesce(current_schema(), '')), 0)
