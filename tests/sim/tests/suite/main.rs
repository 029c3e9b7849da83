//! The rules of money, put to the test by chance that repeats itself.

mod bugs;
mod seeds;
