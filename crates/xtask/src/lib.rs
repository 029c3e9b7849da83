//! Repository chores: generate protobuf code, check architecture.
