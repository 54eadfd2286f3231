//! Configuration: an Envoy bootstrap file in, a validated model out.

pub mod model;
