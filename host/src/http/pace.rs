//! How often a token, and an address, may ask: more is answered with 429 and when to come again.
//!
//! Addresses are counted before anything is looked at, tokens once they are known to hold: a made-up token costs its address.
//! Behind a proxy that the operator trusts, the address is the last one in `X-Forwarded-For` that is none of theirs.

use super::problem::Problem;
use super::state::Api;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use gradus_core::domain::id::{SourceId, TokenId};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// So many times what is allowed in a second may come at once.
const BURST: u32 = 10;

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// How often one may ask.
struct Rate<K: Hash + Eq + Clone> {
    name: &'static str,
    limiter: Limiter<K>,
    clock: DefaultClock,
    second: NonZeroU32,
}

/// How somebody stands after a request.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    name: &'static str,
    second: NonZeroU32,
    left: u32,
}

impl Standing {
    fn burst(self) -> u32 {
        self.second.get().saturating_mul(BURST)
    }

    /// As the headers that the HTTP working group drafts have it.
    fn tell(self, headers: &mut HeaderMap) {
        // When all of it is there again.
        let full = (self.burst().saturating_sub(self.left)).div_ceil(self.second.get());
        let policy = format!("\"{}\";q={};w={BURST}", self.name, self.burst());
        let now = format!("\"{}\";r={};t={full}", self.name, self.left);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", now)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// `None`: as often as they like.
    fn new(name: &'static str, second: u32) -> Option<Self> {
        let second = NonZeroU32::new(second)?;
        let quota = Quota::per_second(second).allow_burst(second.saturating_mul(NonZeroU32::new(BURST)?));
        let limiter = RateLimiter::hashmap(quota).with_middleware::<StateInformationMiddleware>();
        Some(Self { name, limiter, clock: DefaultClock::default(), second })
    }

    fn ask(&self, key: &K) -> Result<Standing, (Standing, Duration)> {
        let standing = |left| Standing { name: self.name, second: self.second, left };
        match self.limiter.check_key(key) {
            Ok(state) => Ok(standing(state.remaining_burst_capacity())),
            Err(early) => Err((standing(0), early.wait_time_from(self.clock.now()))),
        }
    }

    /// Forgets those who have not asked for a while.
    fn forget(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// Tags of one project that its forge may tell of in a second, for long; and at once, as a push of all its tags is.
const TAGS: (NonZeroU32, NonZeroU32) = (NonZeroU32::new(5).unwrap(), NonZeroU32::new(2_000).unwrap());

/// How often all may ask.
pub struct Pace {
    tokens: Option<Rate<TokenId>>,
    projects: RateLimiter<(SourceId, String), HashMapStateStore<(SourceId, String)>, DefaultClock>,
    addresses: Option<Rate<IpAddr>>,
    trusted: Vec<IpAddr>,
}

/// How the bearer of a request's token stands, told by who has looked at it.
type Told = Arc<OnceLock<Standing>>;

fn refused(whose: &str, (standing, wait): (Standing, Duration)) -> (Standing, Problem) {
    let seconds = wait.as_secs() + 1;
    let detail = format!(
        "too many requests of this {whose}: {} a second are answered; come again in {seconds} s",
        standing.second
    );
    metrics::counter!("gradus_http_refused_total", "reason" => "pace").increment(1);
    (standing, Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-fast", detail).after(seconds))
}

impl Pace {
    /// So many a second of a token and of an address, none for as often as they like; and who may say whose address it is.
    pub fn new(tokens: u32, addresses: u32, trusted: Vec<IpAddr>) -> Self {
        let projects = RateLimiter::hashmap(Quota::per_second(TAGS.0).allow_burst(TAGS.1));
        Self { tokens: Rate::new("token", tokens), addresses: Rate::new("address", addresses), projects, trusted }
    }

    /// Counts a request of a token that holds.
    ///
    /// # Errors
    /// Too many came.
    pub fn token(&self, id: TokenId, told: Option<&Told>) -> Result<(), Problem> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let (standing, answer) = match tokens.ask(&id) {
            Ok(standing) => (standing, Ok(())),
            Err(early) => {
                let (standing, problem) = refused("token", early);
                (standing, Err(problem))
            }
        };
        if let Some(told) = told {
            // The first to look at it tells it.
            let _ = told.set(standing);
        }
        answer
    }

    /// Counts tags of a project that a forge tells of, all of a hook at once.
    ///
    /// # Errors
    /// Too many came of that project; none of these is counted then.
    pub fn project(&self, source: &SourceId, project: &str, tags: NonZeroU32) -> Result<(), Problem> {
        let seconds = match self.projects.check_key_n(&(source.clone(), project.to_owned()), tags) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(early)) => early.wait_time_from(DefaultClock::default().now()).as_secs() + 1,
            // Never, as a hook has fewer.
            Err(_) => 60,
        };
        let detail = format!("too many tags of this project: {} a second are taken for long", TAGS.0);
        metrics::counter!("gradus_http_refused_total", "reason" => "project").increment(1);
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-fast", detail).after(seconds))
    }

    /// Forgets those who have not asked for a while.
    pub fn forget(&self) {
        self.projects.retain_recent();
        self.projects.shrink_to_fit();
        self.tokens.iter().for_each(Rate::forget);
        self.addresses.iter().for_each(Rate::forget);
    }

    /// Where a request is from.
    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusted.contains(&peer) {
            return peer;
        }
        let all = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let all: Vec<&str> = all.flat_map(|value| value.split(',')).map(str::trim).collect();
        // From the end: what is before the last one that we do not trust, anybody may have written.
        let mut from = peer;
        for text in all.iter().rev() {
            let Ok(address) = text.parse::<IpAddr>() else { break };
            from = address.to_canonical();
            if !self.trusted.contains(&from) {
                break;
            }
        }
        from
    }
}

/// Of one customer of a provider's are as many addresses as they like.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        four @ IpAddr::V4(_) => four,
    }
}

/// Counts each request by its address, and tells its bearer how they stand.
pub async fn pace(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    let mut own = None;
    let address = peer.map(|peer| network(api.pace.address(peer, request.headers())));
    let count = || {
        let (addresses, address) = (api.pace.addresses.as_ref()?, address?);
        Some(addresses.ask(&address).map_err(|early| {
            let (standing, problem) = refused("address", early);
            let mut response = problem.into_response();
            standing.tell(response.headers_mut());
            response
        }))
    };
    // All of a forge come from one address, as many as are pushed there: only those that are refused are counted.
    if request.uri().path().starts_with("/hooks/") {
        let response = next.run(request).await;
        let status = response.status();
        let strange = (status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS).then_some(());
        return strange.and_then(|()| count()).and_then(Result::err).unwrap_or(response);
    }
    match count() {
        Some(Ok(standing)) => own = Some(standing),
        Some(Err(response)) => return response,
        None => {}
    }
    let told = Told::default();
    request.extensions_mut().insert(Arc::clone(&told));
    let mut response = next.run(request).await;
    if let Some(standing) = told.get().copied().or(own) {
        standing.tell(response.headers_mut());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_what_trusted_proxies_say() {
        let pace = Pace::new(0, 0, vec![ip("10.0.0.1"), ip("10.0.0.2")]);
        for (peer, forwarded, expected) in [
            ("192.0.2.1", vec!["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["203.0.113.9", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", vec!["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec!["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in &forwarded {
                headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(pace.address(ip(peer), &headers), ip(expected), "{peer} {forwarded:?}");
        }
        assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(network(ip("::ffff:192.0.2.7")), ip("192.0.2.7"));
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_come_again() {
        let rate: Rate<u8> = Rate::new("token", 2).unwrap();
        for left in (0..20).rev() {
            assert_eq!(rate.ask(&1).unwrap().left, left);
        }
        let (standing, wait) = rate.ask(&1).unwrap_err();
        assert!(wait <= Duration::from_millis(500) && standing.left == 0, "{wait:?}");
        assert!(rate.ask(&2).is_ok(), "others are not held up");
        let mut headers = HeaderMap::new();
        standing.tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"token\";q=20;w=10");
        assert_eq!(headers["ratelimit"], "\"token\";r=0;t=10");
        assert!(Rate::<u8>::new("token", 0).is_none());
    }
}
