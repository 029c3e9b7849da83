//! A seeded simulation of everything that moves money.
//!
//! The rules are the real ones: the gateway's job machine, ledger and deposits (`ailayer_gateway::domain`), and the
//! payment service's hold invoices (`ailayer_payment::domain`). Around them everything is fake, synchronous and
//! deterministic: one seed is one history of the world, for ever.
//!
//! ```text
//!                     buyers: quote, pay too little, twice or late, acknowledge, cancel, repeat
//!                        |                                            | pay
//!          +-------------+-------------+                              v
//!          v                           v                      +--------------+
//!   +-------------+             +-------------+   claim,      |   payment    |   blocks
//!   |  gateway A  |             |  gateway B  |   release     |  rows, log,  |<---------
//!   |  drivers    |             |  drivers    | ------------> |  guard, node |
//!   |  writer     |             |  writer     | <------------ |              |
//!   |  follower   |             |  follower   |    events     +--------------+
//!   |  relay      |             |  relay      |   (repeated, late, from a cursor)
//!   +-------------+             +-------------+
//!      |  one write a step,        |      |  \______ serving: answers, fails, hangs
//!      v  a crash behind each      v      v
//!   +----------------------------------+  +-----------------------------+
//!   | store: all of a transaction or   |  | audit log: appended once by |
//!   | nothing; some commits are unclear|  | its bytes; answers get lost |
//!   +----------------------------------+  +-----------------------------+
//! ```
//!
//! A step of the world is one action, picked by the seed: a call of a buyer begins, one continuation of one gateway is
//! carried over its next durable write, an event is handled, time passes, a block is found, something dies or comes
//! back. What a gateway has in memory between two writes is a value; a crash drops it. After every step the invariants
//! are held against the committed state; at the end everything is mended and must come to rest with the books closed.
//!
//! The shell in `gateway` repeats, write by write, what the gateway's own shell does around the rules, and names
//! what it mirrors. It is the one part that can differ from the product: a change there belongs here, too.
//!
//! | module | what it is |
//! |---|---|
//! | `world` | everything there is, and what is out of order |
//! | `store`, `ledger` | the gateway's committed rows |
//! | `payment`, `node` | the payment service over its real rules, and the Lightning node below it |
//! | `audit`, `serving`, `buyers` | the other sides |
//! | `gateway` | the replicas |
//! | `actions`, `heal` | what may happen next; how a world comes to rest |
//! | `invariants`, `closing_check` | what must hold after every step, and at the end |
//! | `bugs` | deliberate mistakes, to see that they are found |
//! | `run` | one seed, many seeds |

mod actions;
mod audit;
mod bugs;
mod buyers;
mod closing_check;
mod gateway;
mod heal;
mod invariants;
mod ledger;
mod node;
mod payment;
mod rng;
mod run;
mod serving;
mod store;
mod world;

pub use bugs::Bug;
pub use run::{Failure, Seen, run_seed, run_seeds};
