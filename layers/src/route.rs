//! Routes: which request goes where.
//!
//! A [`RouteTable`] is built once from virtual hosts and their routes, and then only read:
//! [`RouteTable::find`] takes what a request says and gives the first route that matches, without
//! allocating. What the route then does to the request lies beside it: [`rewrite`] changes path
//! and host, [`redirect`] answers with a `location`, [`weighted`] draws one of several clusters.
//!
//! ```
//! use front_proxy_layers::route::{Found, PathMatch, RequestView, RouteMatch, RouteTable};
//!
//! let table = RouteTable::builder()
//!     .virtual_host("backend", ["*"], [
//!         (RouteMatch::new(PathMatch::Prefix("/service/1".into())), "service1"),
//!         (RouteMatch::new(PathMatch::Prefix("/service/2".into())), "service2"),
//!     ])
//!     .build()?;
//!
//! let (parts, ()) = http::Request::get("http://front.example/service/2?x=1").body(())?.into_parts();
//! let Some(Found::Route { action, .. }) = table.find(&RequestView::of(&parts, 0)) else { panic!() };
//! assert_eq!(*action, "service2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod action;
mod domains;
pub mod matching;
mod pattern;
pub mod redirect;
#[cfg(feature = "retry")]
mod retry_policy;
pub mod rewrite;
pub mod substitution;
pub mod table;
pub mod view;
pub mod weighted;

pub use action::*;
pub use matching::*;
pub use pattern::Pattern;
#[cfg(feature = "regex")]
pub use pattern::PatternError;
pub use redirect::Redirector;
#[cfg(feature = "retry")]
pub use retry_policy::{RetryOn, RetryPolicy};
pub use rewrite::{HostOutcome, RequestRewrite};
pub use substitution::Substitution;
pub use table::{Found, Place, RequireTls, RouteTable, RouteTableBuilder, RouteTableError};
pub use view::RequestView;
pub use weighted::WeightedChoice;
