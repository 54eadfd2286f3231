use std::sync::Arc;

use http::request::Parts;

use super::{DownstreamConnection, StreamInfo};
use crate::forwarded::{ForwardedPolicy, Peer};

/// Begins a [`StreamInfo`] for a request that nobody has asked about before its route did. One for
/// a connection.
#[derive(Clone, Debug)]
pub struct Observer {
    /// The connection.
    pub connection: Arc<DownstreamConnection>,
    /// Whose word counts about the client's address.
    pub policy: Arc<ForwardedPolicy>,
    /// The other end.
    pub peer: Peer,
}

impl Observer {
    /// Begins one for a request to which the policy has been applied. Without an observer nothing
    /// is known of its connection.
    pub(crate) fn begin(observer: Option<&Self>, parts: &Parts) -> StreamInfo {
        let Some(this) = observer else {
            return StreamInfo::new(Arc::default(), parts.version);
        };
        let info = StreamInfo::new(Arc::clone(&this.connection), parts.version);
        info.set_client(this.policy.client_address(&parts.headers, this.peer));
        info
    }
}
