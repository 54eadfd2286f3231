//! A discovery of your own: the members of a cluster are the lines of a file, which is read again
//! every second. One async function is enough.
//!
//! ```text
//! cargo run --example own_discovery
//! curl localhost:3000/                    # several times: two members take turns
//! sed -i 1d /tmp/members.txt             # the file that it names when it starts
//! curl localhost:3000/                    # one is left
//! ```
//!
//! Next: weigh members, as in `Member { weight: 3, ..Member::new(address) }`; implement `Discover` for
//! a struct that holds a client of your registry.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::discover::{Discover, Member, MemberSet};
use front_proxy_layers::proxy::Proxy;
use tokio::net::TcpListener;

/// Reads members from a file.
#[derive(Debug)]
struct Lines {
    file: PathBuf,
}

impl Discover for Lines {
    async fn run(self, members: Arc<dyn MemberSet>) {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        loop {
            every.tick().await;
            let Ok(text) = tokio::fs::read_to_string(&self.file).await else {
                // The members known so far stay.
                members.failed();
                continue;
            };
            // A line that is no address is a comment.
            members.update(text.lines().filter_map(|line| Member::try_from(line).ok()).collect());
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(2).unwrap_or_else(|| "/tmp/members.txt".to_owned());
    let lines = format!("{}\n{}\n# the end\n", service("a").await?, service("b").await?);
    tokio::fs::write(&file, lines).await?;
    println!("members in {file}");

    let cluster = Cluster::builder("service").discover(Lines { file: file.into() }).build();
    // Until the file was read once there is nobody to send requests to.
    cluster.initialized().await;
    let app = Router::new().fallback_service(Proxy::new(cluster));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service(name: &'static str) -> Result<String, Box<dyn Error>> {
    let app = Router::new().fallback(move || async move { format!("{name}\n") });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
