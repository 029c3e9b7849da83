//! PostgreSQL pool, migrations and the cursor, inbox and outbox shared by the services.
