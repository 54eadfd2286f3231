//! Making requests safe to route and to pass on.

pub mod path;

pub use path::{EscapedSlashes, PathNormalizer, PathOutcome};
