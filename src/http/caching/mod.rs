//! What caches make of HTTP (RFC 9111): directives, freshness, what may be stored, validation,
//! secondary keys and ranges. Pure: times are parameters, in seconds since 1970.

mod answer;
mod directives;
mod extent;
mod fields;
#[doc(hidden)]
pub mod fuzz;
mod range;
mod storing;
mod validators;
pub mod vary;

pub use answer::{CacheAnswer, CacheRequest, Varies, values};
pub use directives::{CacheControl, Directive, Directives, SECONDS_MAX, seconds, withholds};
pub use extent::Extent;
pub use fields::CacheField;
pub use range::{Wanted, wanted};
pub use storing::{CookiePolicy, Fitness, Lifetime, StoringPolicy, Unstorable, judge};
pub use validators::{Validators, matches_strongly, matches_weakly};
