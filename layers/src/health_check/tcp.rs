//! Checks by a connection, and bytes on it.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Payload;
use super::client::Dialer;
use super::session::{CheckError, Finding};
use crate::endpoint::UpstreamIo;

/// Connects, sends, and waits for an answer.
#[derive(Clone, Debug, Default)]
pub struct TcpProbe {
    /// What is sent. Default nothing.
    pub send: Bytes,
    /// What must come back. Default nothing: then it is enough that the connection is made, and
    /// nothing is sent, as in Envoy.
    pub receive: Payload,
}

/// An answer that is longer than this is none that was expected.
const LONGEST_ANSWER: usize = 1 << 20;

/// One endpoint's checks.
#[derive(Debug)]
pub(super) struct TcpSession {
    probe: TcpProbe,
    kept: Option<UpstreamIo>,
}

impl TcpSession {
    pub(super) fn new(probe: TcpProbe) -> Self {
        Self { probe, kept: None }
    }

    pub(super) async fn check(
        &mut self,
        dialer: &Dialer,
        reuse: bool,
    ) -> Result<Finding, CheckError> {
        let mut io = match self.kept.take() {
            Some(io) => io,
            None => dialer.dial().await?,
        };
        if self.probe.receive.is_empty() {
            return Ok(Finding::Healthy);
        }
        io.write_all(&self.probe.send).await?;
        io.flush().await?;
        let mut answer = BytesMut::new();
        while !self.probe.receive.matches(&answer) {
            // Whether more would do can't be known; the timeout ends it.
            if io.read_buf(&mut answer).await? == 0 || answer.len() > LONGEST_ANSWER {
                return Err(CheckError::Network("the connection was closed".into()));
            }
        }
        if reuse {
            self.kept = Some(io);
        }
        Ok(Finding::Healthy)
    }
}
