//! From SQLSTATE to what a caller can do. Codes: PostgreSQL manual, appendix A.

use sqlx::error::DatabaseError;

use super::StoreError;

pub(super) fn classify(error: sqlx::Error) -> StoreError {
    use sqlx::Error as E;
    match error {
        E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => {
            StoreError::Unavailable(error)
        }
        E::ColumnDecode { .. } | E::Decode(_) => StoreError::Corrupt(error.to_string()),
        E::Configuration(_) => {
            StoreError::InvalidConfig("the database url or its TLS settings cannot be used".to_owned())
        }
        E::Database(refusal) => by_sqlstate(refusal),
        other => StoreError::Database(other),
    }
}

fn by_sqlstate(refusal: Box<dyn DatabaseError>) -> StoreError {
    let code = refusal.code().unwrap_or_default().into_owned();
    let class = code.get(..2).unwrap_or_default();
    match (class, code.as_str()) {
        // Unique and exclusion violations; then the other integrity constraints.
        (_, "23505" | "23P01") => StoreError::Conflict { constraint: constraint(&*refusal) },
        ("23", _) => StoreError::Violation { constraint: constraint(&*refusal) },
        // Serialization failure, deadlock.
        (_, "40001" | "40P01") => StoreError::Serialization(sqlx::Error::Database(refusal)),
        // Statement or lock time-out.
        (_, "57014" | "55P03") => StoreError::TimedOut(sqlx::Error::Database(refusal)),
        // Connection lost, out of resources, shutdown or start-up, I/O error; a standby that cannot write;
        // a session ended for idling.
        ("08" | "53" | "58", _) | (_, "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "25P03") => {
            StoreError::Unavailable(sqlx::Error::Database(refusal))
        }
        (_, "XX001" | "XX002") => StoreError::Corrupt(refusal.to_string()),
        // Wrong password or role, database that does not exist: the server's words name user and database only.
        ("28", _) | (_, "3D000") => StoreError::InvalidConfig(refusal.message().to_owned()),
        _ => StoreError::Database(sqlx::Error::Database(refusal)),
    }
}

/// Not-null violations have no constraint name; their message names the column.
fn constraint(refusal: &dyn DatabaseError) -> String {
    refusal.constraint().unwrap_or_else(|| refusal.message()).to_owned()
}
