//! Takes connections and hands their requests on: so many at once, so many of one address, each with its time for the head
//! of a request. Who is over that is told so, and let go.

use super::counted::Counted;
use super::pace::network;
use super::problem::Problem;
use super::unread::read_on;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::middleware;
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

/// So many are told at once that there are too many; more are just let go.
const TOLD: usize = 64;
/// How long one that is told so has to ask.
const TELLING: Duration = Duration::from_secs(2);
/// After so many seconds it may be worth another try.
const AGAIN: u64 = 5;
/// An answer may wait for so long for somebody to read on.
const UNREAD: Duration = Duration::from_secs(60);
/// When this process has no file left for another connection, it waits so long for one.
const PAUSE: Duration = Duration::from_millis(200);

/// How many there may be.
#[derive(Debug, Clone)]
pub struct Limits {
    /// At once.
    pub all: usize,
    /// At once of one address.
    pub of_address: usize,
    /// How long a connection may take for the head of a request, and be idle before it.
    pub head: Duration,
    /// Addresses that others come through: theirs are not counted.
    pub trusted: Vec<IpAddr>,
}

/// A connection is counted while it is open, however it ends.
struct Open(metrics::Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Why there is no place.
#[derive(Debug, Clone, Copy)]
enum Full {
    All,
    Address,
}

impl Full {
    fn problem(self) -> Problem {
        let (status, whose) = match self {
            Self::All => (StatusCode::SERVICE_UNAVAILABLE, "to this server"),
            Self::Address => (StatusCode::TOO_MANY_REQUESTS, "from this address"),
        };
        let detail = format!("too many connections {whose} are open; close some, or come again in {AGAIN} s");
        Problem::new(status, "too-many-connections", detail).after(AGAIN)
    }
}

/// Takes connections on `listener` until told to stop, then until those that are busy have ended.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, mut stopped: watch::Receiver<bool>) {
    let (all, told) = (Arc::new(Semaphore::new(limits.all)), Arc::new(Semaphore::new(TOLD)));
    let addresses = Counted::new(limits.of_address, usize::MAX);
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            // The sender's end is a stop, too.
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        // Answers are small and go out at once: waiting to fill a packet costs an event stream 40 ms a piece.
        drop(stream.set_nodelay(true));
        let address = peer.ip().to_canonical();
        let own = (!limits.trusted.contains(&address)).then(|| addresses.one(&network(address))).transpose();
        let place = match (own, Arc::clone(&all).try_acquire_owned()) {
            (Err(_), _) => Err(Full::Address),
            (Ok(_), Err(_)) => Err(Full::All),
            (Ok(own), Ok(permit)) => Ok((own, permit)),
        };
        match place {
            Ok(place) => {
                let router = router.clone();
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(ConnectInfo(peer));
                    router.clone().oneshot(request)
                });
                talk(stream, service, limits.head, &graceful, place);
            }
            Err(full) => {
                metrics::counter!("gradus_http_refused_total", "reason" => "connections").increment(1);
                let Ok(place) = Arc::clone(&told).try_acquire_owned() else { continue };
                let refuse = move || async move {
                    ([(CONNECTION, HeaderValue::from_static("close"))], full.problem()).into_response()
                };
                // What they send is read for a moment: else they are reset before they read the answer.
                let router: Router = Router::new().fallback(refuse).layer(middleware::from_fn(read_on));
                let service = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request));
                talk(stream, service, TELLING, &graceful, place);
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // It went before it was taken.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the requests of a connection, which has its place until then.
fn talk<S>(stream: TcpStream, service: S, head: Duration, graceful: &GracefulShutdown, place: impl Send + 'static)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let mut http = http1::Builder::new();
    let connection = http.timer(TokioTimer::new()).header_read_timeout(head);
    // Who does not read what they asked for loses their connection: nothing else would ever end it.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD));
    let connection = graceful.watch(connection.serve_connection(TokioIo::new(Box::pin(stream)), service));
    tokio::spawn(async move {
        let open = Open(metrics::gauge!("gradus_http_connections"));
        open.0.increment(1.0);
        // Whoever sends what is no HTTP, or goes in the middle of it, is nobody's trouble but their own.
        drop(connection.await);
        drop((open, place));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinHandle;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    struct Door {
        at: SocketAddr,
        stop: watch::Sender<bool>,
        serving: JoinHandle<()>,
    }

    async fn door(all: usize, of_address: usize, head: Duration, trusted: &[&str]) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let router = Router::new().route(
            "/",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                peer.ip().to_string()
            }),
        );
        let trusted = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let (stop, stopped) = watch::channel(false);
        let limits = Limits { all, of_address, head, trusted };
        Door { at, stop, serving: tokio::spawn(serve(listener, router, limits, stopped)) }
    }

    /// Asks once, and reads what comes until `ends` is in it or the connection ends.
    async fn ask(stream: &mut TcpStream, request: &[u8], ends: &str) -> String {
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 1024];
        while !String::from_utf8_lossy(&answer).contains(ends) {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend(&piece[..count]),
            }
        }
        String::from_utf8(answer).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_is_one_too_many_is_told_and_the_others_go_on() {
        for (all, of_address, status) in [(2, 9, "503"), (9, 2, "429")] {
            let door = door(all, of_address, LONG, &[]).await;
            let mut first = TcpStream::connect(door.at).await.unwrap();
            let mut second = TcpStream::connect(door.at).await.unwrap();
            for stream in [&mut first, &mut second] {
                assert!(ask(stream, ASK, "127.0.0.1").await.starts_with("HTTP/1.1 200"));
            }
            let mut third = TcpStream::connect(door.at).await.unwrap();
            let told = ask(&mut third, ASK, "until it ends").await;
            assert!(told.starts_with(&format!("HTTP/1.1 {status}")) && told.contains("too-many-connections"), "{told}");
            assert!(told.contains("retry-after: 5") && told.contains("connection: close"), "{told}");
            assert!(ask(&mut first, ASK, "127.0.0.1").await.starts_with("HTTP/1.1 200"));
            // Its place is another's at once.
            drop(first);
            let until = Instant::now() + Duration::from_secs(5);
            loop {
                let mut next = TcpStream::connect(door.at).await.unwrap();
                if ask(&mut next, ASK, "127.0.0.1").await.starts_with("HTTP/1.1 200") {
                    break;
                }
                assert!(Instant::now() < until);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    #[tokio::test]
    async fn who_is_one_too_many_is_told_even_with_much_to_send() {
        let door = door(1, 9, LONG, &[]).await;
        let mut first = TcpStream::connect(door.at).await.unwrap();
        assert!(ask(&mut first, ASK, "127.0.0.1").await.starts_with("HTTP/1.1 200"));
        let mut second = TcpStream::connect(door.at).await.unwrap();
        let body = vec![b'x'; 8 << 20];
        let request =
            [format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), &body]
                .concat();
        let told = ask(&mut second, &request, "until it ends").await;
        assert!(told.starts_with("HTTP/1.1 503") && told.contains("too-many-connections"), "{told}");
    }

    #[tokio::test]
    async fn those_of_a_trusted_proxy_are_not_counted_as_its_own() {
        let door = door(9, 1, LONG, &["127.0.0.1"]).await;
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(door.at).await.unwrap();
            assert!(ask(&mut stream, ASK, "127.0.0.1").await.starts_with("HTTP/1.1 200"));
            open.push(stream);
        }
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_its_connection() {
        let door = door(9, 9, Duration::from_millis(200), &[]).await;
        for (request, what) in [(&b""[..], "silent"), (b"GET / HT", "slow"), (ASK, "idle after a request")] {
            let mut stream = TcpStream::connect(door.at).await.unwrap();
            let since = Instant::now();
            ask(&mut stream, request, "until it ends").await;
            let took = since.elapsed();
            assert!(took > Duration::from_millis(150) && took < Duration::from_secs(5), "{what}: {took:?}");
        }
    }

    #[tokio::test]
    async fn a_stop_waits_for_who_is_busy_and_for_nobody_else() {
        let door = door(9, 9, LONG, &[]).await;
        let _idle = TcpStream::connect(door.at).await.unwrap();
        let mut busy = TcpStream::connect(door.at).await.unwrap();
        busy.write_all(ASK).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        door.stop.send_replace(true);
        let answer = ask(&mut busy, b"", "until it ends").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        tokio::time::timeout(Duration::from_secs(5), door.serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(door.at).await.is_err());
    }
}
