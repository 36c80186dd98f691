//! Load tester and test origin for ringway.
fn main() {}
