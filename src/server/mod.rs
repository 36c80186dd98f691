//! The process: start order, the workers, drain.

mod cache;
pub mod demo;
mod drain;
mod run;
mod worker;

pub use run::{Options, StartError, run};
