//! usage: legacy known|old ADDRESS
//!        legacy ask|relay ttheader|framed|buffered ADDRESS TEXT TIMEOUT_MS DELAY_MS
//!            [KEY=VALUE]...
//!
//! An application for the interface of legacy.thrift, and a caller of it, which knows of Base but sends
//! none: keys that begin with RPC_PERSIST_ or RPC_TRANSIT_ go with its call. It prints the answer.
use gen::thrift_gen::{known, old};
use metainfo::{Forward, MetaInfo, METAINFO};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use volo::context::Context;
use volo_peer::{address, UNDECLARED_TEXT};
use volo_thrift::codec::default::DefaultMakeCodec;
use volo_thrift::context::ServerContext;
use volo_thrift::{ApplicationException, ApplicationExceptionKind, MaybeException, ServerError};

const PERSIST: &str = "RPC_PERSIST_";
const TRANSIT: &str = "RPC_TRANSIT_";

static COUNT: AtomicI32 = AtomicI32::new(0);

tokio::task_local! {
    /// What the header says of the call in flight.
    static HEAD: String;
}

/// Keeps the part of the header that handlers have no other access to.
#[derive(Clone)]
struct Noting<S>(S);

struct NotingLayer;

impl<S> volo::Layer<S> for NotingLayer {
    type Service = Noting<S>;

    fn layer(self, inner: S) -> Noting<S> {
        Noting(inner)
    }
}

impl<Req, S> volo::Service<ServerContext, Req> for Noting<S>
where
    Req: Send + 'static,
    S: volo::Service<ServerContext, Req> + Send + Sync,
{
    type Response = S::Response;
    type Error = S::Error;

    async fn call(&self, cx: &mut ServerContext, req: Req) -> Result<S::Response, S::Error> {
        let caller = cx.rpc_info().caller().service_name();
        let timeout = cx.rpc_info().config().rpc_timeout();
        let timeout = timeout.map_or(String::new(), |t| format!("timeout={}\n", t.as_millis()));
        HEAD.scope(format!("caller={caller}\n{timeout}"), self.0.call(cx, req)).await
    }
}

fn meta() -> String {
    let mut lines = Vec::new();
    METAINFO.with(|meta| {
        let meta = meta.borrow();
        for (mark, all) in [("p", meta.get_all_persistents()), ("u", meta.get_all_upstreams())] {
            for (key, value) in all.into_iter().flatten() {
                lines.push(format!("{mark}:{key}={value}\n"));
            }
        }
    });
    lines.sort();
    HEAD.with(|head| head.clone()) + &lines.concat()
}

fn lines_of_map<K: AsRef<str>, V: AsRef<str>>(
    map: impl IntoIterator<Item = (K, V)>,
    prefix: &str,
) -> String {
    let mut lines: Vec<_> = map
        .into_iter()
        .map(|(key, value)| format!("{prefix}{}={}\n", key.as_ref(), value.as_ref()))
        .collect();
    lines.sort();
    lines.concat()
}

fn lines_of(base: &known::Base) -> String {
    let fields = [
        ("LogID", &base.log_id),
        ("Caller", &base.caller),
        ("Addr", &base.addr),
        ("Client", &base.client),
    ];
    let lines = fields.map(|(name, value)| format!("{name}={}\n", value.as_deref().unwrap_or("")));
    lines.concat() + &lines_of_map(base.extra.iter().flatten(), "Extra.")
}

fn undeclared() -> ServerError {
    let kind = ApplicationExceptionKind::INTERNAL_ERROR;
    ServerError::Application(ApplicationException::new(kind, UNDECLARED_TEXT.to_string()))
}

/// Both interfaces are the same but for the field, and their types are others.
macro_rules! application {
    ($of:ident, $name:ident, $base:expr, $response:expr, {$($facts:tt)*}, $told:expr) => {
        struct $name;

        impl $name {
            fn digest_items(items: &[$of::Item]) -> String {
                let parts = items.iter().map(|item| {
                    let bits = item.price.to_bits();
                    format!("{}:{}:{bits:016x}:{}", item.name, item.count, item.tags.join(","))
                });
                parts.collect::<Vec<_>>().join(";")
            }

            fn digest(query: &$of::Query) -> String {
                let mut counts: Vec<_> =
                    query.counts.iter().map(|(key, value)| format!("{key}={value}")).collect();
                counts.sort();
                let mut shelves: Vec<_> = query.shelves.iter().flatten()
                    .map(|(key, items)| format!("{key}=[{}]", Self::digest_items(items)))
                    .collect();
                shelves.sort();
                let blob = query.blob.as_deref().unwrap_or_default();
                let sum = blob.iter().fold(0u32, |sum, b| sum.wrapping_add(u32::from(*b)));
                format!(
                    "{}|{}|{:016x}|{}|{}|{}|{}|{}/{sum}", query.text, query.number,
                    query.weight.to_bits(), query.flag, Self::digest_items(&query.items),
                    counts.join(","), shelves.join(","), blob.len()
                )
            }

            fn refused() -> $of::Refused {
                $of::Refused { code: 7, why: "declared".into() }
            }
        }

        impl $of::Legacy for $name {
            async fn ask(
                &self,
                query: $of::Query,
            ) -> Result<MaybeException<$of::Answer, $of::LegacyAskException>, ServerError> {
                tokio::time::sleep(Duration::from_millis(query.delay_ms.unwrap_or(0) as u64)).await;
                match query.text.as_str() {
                    "boom" => return Err(undeclared()),
                    "refuse" => {
                        let refused = $of::LegacyAskException::Refused(Self::refused());
                        return Ok(MaybeException::Exception(refused));
                    }
                    _ => (),
                }
                let base: fn(&$of::Query) -> String = $base;
                let respond: fn(&$of::Query, $of::Answer) -> $of::Answer = $response;
                let answer = $of::Answer {
                    digest: Self::digest(&query).into(),
                    base: base(&query).into(),
                    meta: meta().into(),
                    items: query.items.clone(),
                    ..Default::default()
                };
                Ok(MaybeException::Ok(respond(&query, answer)))
            }

            async fn store(
                &self,
                query: $of::Query,
            ) -> Result<MaybeException<(), $of::LegacyStoreException>, ServerError> {
                if query.text.as_str() == "refuse" {
                    let refused = $of::LegacyStoreException::Refused(Self::refused());
                    return Ok(MaybeException::Exception(refused));
                }
                COUNT.fetch_add(1, Ordering::SeqCst);
                Ok(MaybeException::Ok(()))
            }

            async fn note(&self, _query: $of::Query) -> Result<(), ServerError> {
                COUNT.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }

            async fn stored(&self) -> Result<i32, ServerError> {
                Ok(COUNT.load(Ordering::SeqCst))
            }

            async fn relay(
                &self,
                _query: $of::Query,
            ) -> Result<MaybeException<$of::Answer, $of::LegacyRelayException>, ServerError> {
                Err(undeclared()) // it is the last of a chain
            }

            async fn tell(
                &self,
                text: pilota::FastStr,
                $($facts)*
            ) -> Result<pilota::FastStr, ServerError> {
                Ok(format!("{text}\n{}", $told).into())
            }
        }
    };
}

type Facts = pilota::AHashMap<pilota::FastStr, pilota::FastStr>;

fn respond(query: &known::Query, mut answer: known::Answer) -> known::Answer {
    if let Some(code) = query.text.strip_prefix("status ") {
        answer.base_resp = Some(known::BaseResp {
            status_code: code.parse().ok(),
            status_message: Some("no stock".into()),
            extra: Some([("shelf".into(), "7".into())].into_iter().collect()),
        });
    }
    answer
}

application!(
    known,
    Known,
    |query| query.base.as_ref().map(lines_of).unwrap_or_default(),
    respond,
    {facts: Facts},
    lines_of_map(&facts, "")
);
application!(old, Old, |_| String::new(), |_, answer| answer, {}, "");

async fn call(args: &[String]) {
    let [method, mode, to, text, timeout, delay, entries @ ..] = args else { panic!("usage") };
    METAINFO.with(|meta| {
        let mut meta = meta.borrow_mut();
        for (key, value) in entries.iter().map(|entry| entry.split_once('=').expect("KEY=VALUE")) {
            if let Some(key) = key.strip_prefix(PERSIST) {
                meta.set_persistent(key.to_owned(), value.to_owned());
            } else if let Some(key) = key.strip_prefix(TRANSIT) {
                meta.set_transient(key.to_owned(), value.to_owned());
            }
        }
    });
    let builder = known::LegacyClientBuilder::new("demo.legacy")
        .caller_name("demo.caller")
        .address(address(to))
        .rpc_timeout(Some(Duration::from_millis(timeout.parse().expect("TIMEOUT_MS"))));
    let client = match mode.as_str() {
        "framed" => builder.make_codec(DefaultMakeCodec::framed()).build(),
        "buffered" => builder.make_codec(DefaultMakeCodec::buffered()).build(),
        _ => builder.build(),
    };
    let delay_ms = Some(delay.parse().expect("DELAY_MS"));
    let query = known::Query { text: text.clone().into(), delay_ms, ..Default::default() };
    let answer = match method.as_str() {
        "relay" => match client.relay(query).await.expect("an answer") {
            MaybeException::Ok(answer) => answer,
            MaybeException::Exception(e) => panic!("{e:?}"),
        },
        _ => match client.ask(query).await.expect("an answer") {
            MaybeException::Ok(answer) => answer,
            MaybeException::Exception(e) => panic!("{e:?}"),
        },
    };
    println!("digest {}\n{}{}", answer.digest, answer.base, answer.meta);
}

#[volo::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args[0].as_str() {
        "known" => {
            let server = known::LegacyServer::new(Known).layer_front(NotingLayer);
            server.run(address(&args[1])).await.unwrap()
        }
        "old" => {
            let server = old::LegacyServer::new(Old).layer_front(NotingLayer);
            server.run(address(&args[1])).await.unwrap()
        }
        _ => METAINFO.scope(MetaInfo::new().into(), call(&args)).await,
    }
}
