//! Moving bytes from a response body to the client.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http_body::Body;
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Asked, Source};

/// Runs a tunnel until one side ends it. The other direction is the upstream's: it reads the
/// request body, which is the client's stream, until this drops the response body.
pub(super) async fn pump<B>(
    client: OnUpgrade,
    source: Arc<Source>,
    asked: Asked,
    http2: bool,
    body: B,
) where
    B: Body + Send,
{
    // hyper writes the head of the response first.
    let Ok(client) = client.await else { return };
    let (read, mut write) = tokio::io::split(TokioIo::new(client));
    source.open(read);
    let upstream_ended = {
        let mut forward = pin!(forward(body, &mut write));
        poll_fn(|cx| match source.poll_closed(cx) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending => forward.as_mut().poll(cx).map(|result| result.is_ok()),
        })
        .await
    };
    if upstream_ended && http2 {
        // An HTTP/2 stream ends like this. An HTTP/1 connection is its owner's to close.
        let _ = write.shutdown().await;
    }
    drop(asked);
}

/// Ends when the body does, which for a tunnel is an error: what came before it is written.
async fn forward<B, W>(body: B, client: &mut W) -> io::Result<()>
where
    B: Body,
    W: AsyncWrite + Unpin,
{
    let mut body = pin!(body);
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(mut data) = frame.into_data() {
            client.write_all_buf(&mut data).await?;
            client.flush().await?;
        }
    }
    Ok(())
}
