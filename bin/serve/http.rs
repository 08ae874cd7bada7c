//! The server: reads only, and bounded in everything that a client could make large or long.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::figures::Figures;
use crate::report::html::frame;

/// Connections at a time. Where a further one comes, the oldest that has asked for nothing yet is closed.
const MOST_CONNECTIONS: usize = 256;
const MOST_HEADERS: usize = 64;
const MOST_HEADER_BYTES: usize = 16 * 1024;
/// How long a client may take to ask, and how long all of a connection.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);
/// How long somebody waits for figures where they have not said how long: shorter than Prometheus does.
const FIGURES_LIMIT: Duration = Duration::from_secs(8);
/// How long answers that were begun may take when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(1);
/// How long to wait where the system has no more files to open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// A server that runs in a thread of its own.
pub struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    pub fn start(listener: TcpListener, figures: Figures, is_remote: bool) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let site = Arc::new(Site { figures, is_remote, policy: frame::policy(true) + "; frame-ancestors 'none'" });
        let serve = move || runtime.block_on(serve(listener, &site, stopped));
        Ok(Self { stop, thread: thread::Builder::new().name("http".to_owned()).spawn(serve)? })
    }

    /// Takes no more connections, and waits a moment for answers that were begun.
    pub fn stop(self) {
        // It is not there any more only where it has ended already.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

async fn serve(listener: tokio::net::TcpListener, site: &Arc<Site>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = Connections::default();
    loop {
        let accepted = poll_fn(|context| match Pin::new(&mut stopped).poll(context) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(context).map(Some),
        });
        match accepted.await {
            Some(Ok((stream, _))) => connections.add(stream, site),
            Some(Err(error)) => {
                tracing::debug!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
            None => break,
        }
    }
    drop(listener);
    connections.end().await;
}

/// The connections that are open, the oldest first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: Vec<Connection>,
}

struct Connection {
    task: AbortHandle,
    has_asked: Arc<AtomicBool>,
}

impl Connections {
    fn add(&mut self, stream: TcpStream, site: &Arc<Site>) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|connection| !connection.task.is_finished());
        if self.open.len() >= MOST_CONNECTIONS && !self.close_one() {
            return;
        }
        let has_asked = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(converse(stream, Arc::clone(site), Arc::clone(&has_asked)));
        self.open.push(Connection { task, has_asked });
    }

    /// Closes the oldest connection that has asked for nothing yet, if there is one.
    fn close_one(&mut self) -> bool {
        let oldest = self.open.iter().position(|connection| !connection.has_asked.load(Ordering::Relaxed));
        oldest.map(|at| self.open.remove(at).task.abort()).is_some()
    }

    /// Waits for those that have asked for something, as long as that is allowed, and closes the others.
    async fn end(mut self) {
        while self.close_one() {}
        // What has not ended by then is closed with the process.
        let _ = timeout(STOP_LIMIT, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

/// One request and its answer: a client connects again for the next, so that none holds a place.
async fn converse(stream: TcpStream, site: Arc<Site>, has_asked: Arc<AtomicBool>) {
    let service = service_fn(move |request: Request<Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(&request).await) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_LIMIT)
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_LIMIT, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a client: {error}"),
        Err(_) => tracing::debug!("a client: too slow"),
    }
}

/// What is served.
struct Site {
    figures: Figures,
    /// Whether other machines may ask.
    is_remote: bool,
    policy: String,
}

impl Site {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let mut answer = self.respond(request).await;
        let headers = answer.headers_mut();
        for (name, value) in [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // A policy that is no header value would be one that nobody can read: it is letters, digits and quotes.
        if let Ok(policy) = HeaderValue::from_str(&self.policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        answer
    }

    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        if !request.body().is_end_stream() {
            return response(StatusCode::PAYLOAD_TOO_LARGE, TEXT, "a request has no body\n");
        }
        if !self.is_remote && !names_this_machine(request) {
            return response(StatusCode::MISDIRECTED_REQUEST, TEXT, "ask for localhost or 127.0.0.1\n");
        }
        match request.uri().path() {
            "/healthz" => return response(StatusCode::OK, TEXT, "ok\n"),
            "/" | "/metrics" | "/readyz" => {}
            _ => return response(StatusCode::NOT_FOUND, TEXT, "there are /, /metrics, /healthz and /readyz\n"),
        }
        let pages = self.figures.within(limit(request)).await;
        let status = if pages.problem.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        match (request.uri().path(), &pages.problem) {
            ("/", _) => response(status, HTML, pages.report.clone()),
            // A scrape that fails keeps no metric: that there are no figures is one.
            ("/metrics", _) => response(StatusCode::OK, METRICS, pages.metrics.clone()),
            (_, None) => response(status, TEXT, "ok\n"),
            (_, Some(problem)) => response(status, TEXT, format!("{problem}\n")),
        }
    }
}

/// How long a client waits for figures. Prometheus says how long it waits itself.
fn limit(request: &Request<Incoming>) -> Duration {
    let said = request.headers().get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()?.parse().ok());
    let said = said.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds * 0.8).ok());
    said.map_or(FIGURES_LIMIT, |said| said.min(FIGURES_LIMIT))
}

/// Whether the request is for this machine by a name of its own. Another name may be one that a page from elsewhere has had
/// the browser look up here.
fn names_this_machine(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(header::HOST) else { return true };
    host.to_str().is_ok_and(|host| {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(name, _)| name),
            None => host.split(':').next(),
        };
        let name = name.unwrap_or_default();
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
