//! What every benchmark of ours is made of. A figure is a ratio of two things measured in the same run.
//!
//! | module | idea |
//! |---|---|
//! | [`args`] | how long and how often: the command line that benches share |
//! | [`rounds`], [`figure`] | the arms in turn, there and back; the noise rule; when a figure holds |
//! | [`generator`], [`schedule`], [`random`] | closed and open loops, recorded traces, seeds |
//! | [`run`], [`statistics`] | what an arm did, what many numbers say |
//! | [`usage`], [`counters`] | what the kernel and a model server counted |
//! | [`server`], [`announce`], [`cores`] | processes that are measured, each side on a core of its own |
//! | [`client`], [`corpus`], [`null`] | calls to model serving, texts with reference answers, a model that does nothing |
//! | [`report`], [`machine`], [`setup`] | table, file and page; what it ran on; what `make setup` made |
//!
//! The serving bench is this package's program, `src/bin/ailayer-bench`. The settlement bench is a package of its own,
//! because it links the gateway, and the server that MEM measures must not.

pub mod announce;
pub mod args;
pub mod client;
pub mod cores;
pub mod corpus;
pub mod counters;
pub mod figure;
pub mod generator;
pub mod machine;
pub mod null;
pub mod random;
pub mod report;
pub mod rounds;
pub mod run;
pub mod schedule;
pub mod server;
pub mod setup;
pub mod statistics;
pub mod usage;
