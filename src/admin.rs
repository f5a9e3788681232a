//! The admin listener: `/livez`, `/readyz`, `/metrics` and `/activity`, and nothing else. Changes nothing.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::metrics::Metrics;
use crate::shutdown::Tasks;
use crate::workspace::reaper::Reaper;

/// A prober that sends its request slower than this is none.
const HEADERS: Duration = Duration::from_secs(10);

/// Answer until the daemon stops. Ready from the first answer on, until it drains: the listener is
/// bound before and served after everything else is up.
pub async fn serve(
    listener: StdListener,
    metrics: Arc<Metrics>,
    reaper: Reaper,
    tasks: Tasks,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            () = tasks.stopping() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, or a prober that left: neither is worth more than a breath.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (metrics, reaper, state) = (Arc::clone(&metrics), reaper.clone(), tasks.clone());
        let service = service_fn(move |request| {
            let response = answer(&request, &metrics, &reaper, state.is_draining());
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .keep_alive(false)
            // Who has asked may end its side: what `ssh -W` does with a request on its standard input.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let stopping = tasks.clone();
        tasks.spawn("admin request", async move {
            tokio::select! {
                // A prober that breaks off is no news.
                _ = connection => {}
                () = stopping.stopping() => {}
            }
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    metrics: &Metrics,
    reaper: &Reaper,
    draining: bool,
) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        "/readyz" if draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
        "/livez" | "/readyz" => (StatusCode::OK, "ok\n".to_owned()),
        "/metrics" => (StatusCode::OK, metrics.text()),
        "/activity" => {
            let report = metrics.activity(reaper.running());
            // Strings and numbers: it cannot fail.
            let text = serde_json::to_string(&report).unwrap_or_default();
            (StatusCode::OK, text + "\n")
        }
        _ => (
            StatusCode::NOT_FOUND,
            "there are /livez, /readyz, /metrics and /activity\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
