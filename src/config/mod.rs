//! Configuration: TOML text → `document` (as written, with spans) → `checked` (immutable).
//!
//! Owns names, defaults, bounds and messages. Must not know run-time state.

mod address;
mod admin_address;
mod check;
mod check_balance;
mod check_failure;
mod check_health;
mod check_https;
mod check_l4;
mod check_listener;
mod check_pool;
mod check_route;
mod check_server;
mod check_sticky;
mod check_tls;
mod checked;
mod checked_l4;
mod checked_pool;
mod checked_sticky;
mod checked_tls;
mod document;
mod effective;
mod effective_listener;
mod effective_pool;
mod effective_tls;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod host;
mod key_table;
pub mod keys;
mod load;
pub mod manual;
mod member_address;
mod message;
mod message_l4;
mod message_pool;
mod message_tls;
mod nearest;
mod path;
mod render;
mod scalar;
mod status;

pub use address::{AddressError, CidrError};
pub use admin_address::{AdminAddress, AdminAddressError};
pub use check_balance::HashKeyError;
pub use check_health::FieldError;
pub use check_l4::{Speaks, Unfit};
pub use check_sticky::StickyError;
pub use check_tls::CIPHERS;
pub use checked::*;
pub use checked_l4::*;
pub use checked_pool::*;
pub use checked_sticky::*;
pub use checked_tls::*;
pub use effective::effective;
pub use error::{ConfigError, Mistake, Place, Severity, Span};
pub use host::HostError;
pub use load::{Checked, LoadError, load, load_file};
pub use member_address::{MemberAddress, MemberAddressError};
pub use path::PathError;
pub use render::Report;
pub use scalar::ScalarError;
pub use status::StatusError;
