//! The process: start order, the workers, drain.

pub mod demo;
mod cache;
mod drain;
mod run;
mod worker;

pub use run::{Options, StartError, run};
