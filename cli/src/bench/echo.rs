//! What a warm invocation is held against: the same HTTP server answering by itself. It runs in a process of its own,
//! on the same kind of runtime.

use std::net::Ipv4Addr;
use std::process::ExitCode;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use tokio::net::TcpListener;

use crate::failure::{Failure, say};
use crate::serve;

/// Answers every request with its body until it is killed.
///
/// # Errors
/// The host refuses a socket.
pub fn serve() -> Result<ExitCode, Failure> {
    serve::runtime()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        say(&format!("echoing at http://{}", listener.local_addr()?));
        axum::serve(listener, Router::new().fallback(echo)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn echo(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], body)
}
