//! Routes: which request goes where.

pub mod action;
pub mod matching;

pub use action::*;
pub use matching::*;
