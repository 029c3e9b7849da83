//! What a database can answer, by what a caller can do about it.

mod classify;

use ailayer_platform::error::{ErrorReason, Failure};

/// Failure of the store. `Display` never shows data or credentials; the driver's words are the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Cannot be reached, is starting or stopping, is out of connections or disk, or cut the connection.
    /// Try again later. After a failed commit the outcome is **unknown**: look the row up before acting.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),

    /// A row with the same key exists.
    #[error("unique constraint {constraint} is violated")]
    Conflict {
        /// Name of the unique or exclusion constraint.
        constraint: String,
    },

    /// A check, not-null or foreign key constraint refused the row: a rule of ours was about to be broken.
    #[error("constraint {constraint} is violated")]
    Violation {
        /// Name of the constraint, or of the column for not-null.
        constraint: String,
    },

    /// Serialization failure or deadlock: nothing was changed, the whole transaction can be tried again at once.
    #[error("the transaction lost against another one")]
    Serialization(#[source] sqlx::Error),

    /// The server gave up on the statement because it, or a lock it needed, took too long. Nothing was changed.
    #[error("the statement took too long")]
    TimedOut(#[source] sqlx::Error),

    /// What is stored, or how it is stored, cannot be right. Never try again; a person has to look.
    #[error("stored data are corrupt: {0}")]
    Corrupt(String),

    /// A reader knows events which the log does not have: it belongs to another log, or the log was restored.
    #[error("cursor {cursor} lies beyond the head {head} of the event log")]
    CursorAhead {
        /// What the reader asked for.
        cursor: u64,
        /// The last event there is.
        head: u64,
    },

    /// Another process holds the writer's lock.
    #[error("another process is {name}")]
    WriterBusy {
        /// Name of the writer.
        name: String,
    },

    /// A later process has become the writer. This one must stop.
    #[error("this process is no longer {name}: its epoch {held} has ended, now is epoch {current}")]
    Fenced {
        /// Name of the writer.
        name: String,
        /// Epoch this process acquired.
        held: u64,
        /// Epoch of the present writer.
        current: u64,
    },

    /// The schema could not be brought up to date.
    #[error(transparent)]
    Migration(#[from] MigrationError),

    /// The configuration cannot work: malformed URL, wrong password, database that does not exist.
    #[error("database configuration: {0}")]
    InvalidConfig(String),

    /// Anything else the driver or server says: a fault in our SQL.
    #[error("a database statement failed")]
    Database(#[source] sqlx::Error),
}

/// Why a schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The file was edited after it had been applied.
    #[error(
        "migration {version} ({name}) of schema {schema} was changed after it had been applied; restore its text and add a new migration instead"
    )]
    Changed {
        /// The service's schema.
        schema: &'static str,
        /// Number of the migration.
        version: i64,
        /// Its name.
        name: &'static str,
    },

    /// The database is ahead of this program.
    #[error(
        "schema {schema} has migration {version}, which this program does not know: a newer version has run on this database"
    )]
    Unknown {
        /// The service's schema.
        schema: &'static str,
        /// Number of the migration.
        version: i64,
    },

    /// Two migrations have the same number.
    #[error("schema {schema} has two migrations numbered {version}")]
    Duplicate {
        /// The service's schema.
        schema: &'static str,
        /// Number of both.
        version: i64,
    },

    /// The SQL was refused; nothing of this migration was applied.
    #[error("migration {version} ({name}) of schema {schema} failed")]
    Failed {
        /// The service's schema.
        schema: &'static str,
        /// Number of the migration.
        version: i64,
        /// Its name.
        name: &'static str,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },

    /// The table of applied migrations cannot be used.
    #[error("the migrations of schema {schema} cannot be read")]
    Bookkeeping {
        /// The service's schema.
        schema: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx_core::migrate::MigrateError,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Serialization(_) | Self::TimedOut(_))
    }

    /// Whether the server has refused the statement, so that nothing of it happened. If not, a statement that is a transaction by itself
    /// may have been committed all the same, like one whose `commit` failed.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. }
                | Self::Violation { .. }
                | Self::Serialization(_)
                | Self::TimedOut(_)
                | Self::Database(sqlx::Error::Database(_))
        )
    }

    /// Name of the unique constraint that a row violated.
    pub fn conflicting_constraint(&self) -> Option<&str> {
        match self {
            Self::Conflict { constraint } => Some(constraint),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        classify::classify(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_)
            | StoreError::Serialization(_)
            | StoreError::TimedOut(_)
            | StoreError::WriterBusy { .. }
            | StoreError::Fenced { .. } => {
                Self::new(ErrorReason::StorageUnavailable, "the database does not answer; try again")
                    .with_source(error)
            }
            StoreError::CursorAhead { .. } => Self::field(
                ErrorReason::InvalidCursor,
                "cursor",
                "the cursor lies beyond the end of the event log",
            )
            .with_source(error),
            _ => Self::internal(error),
        }
    }
}
