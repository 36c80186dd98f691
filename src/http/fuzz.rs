//! One function for each fuzz target: it takes any bytes and asserts what must hold of the result.
