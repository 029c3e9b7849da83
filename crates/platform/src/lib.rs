//! What every AILayer service stands on: configuration, telemetry, tasks, RPC stacks, errors.
