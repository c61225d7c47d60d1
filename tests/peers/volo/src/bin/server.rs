//! usage: server thrift|thrift-mux ADDRESS
//!
//! `thrift` answers TTHeader, Framed and Buffered, each in kind; `thrift-mux` answers out of order.
use gen::thrift_gen::echo::{Echo, EchoEchoException, EchoServer, Oops, Req, Resp};
use metainfo::{Backward, Forward, METAINFO};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use volo_peer::{address, BIZ_STATUS, BIZ_TEXT, UNDECLARED_TEXT};
use volo_thrift::{
    ApplicationException, ApplicationExceptionKind, BizError, MaybeException, ServerError,
};

static FIRED: AtomicI32 = AtomicI32::new(0);

struct Peer;

/// What came with the call, as `p:KEY` (persistent) and `u:KEY` (transient), and one value back.
fn exchange_metadata() -> pilota::AHashMap<pilota::FastStr, pilota::FastStr> {
    METAINFO.with(|meta| {
        let mut meta = meta.borrow_mut();
        let mut came = pilota::AHashMap::new();
        for (mark, all) in [("p", meta.get_all_persistents()), ("u", meta.get_all_upstreams())] {
            for (key, value) in all.into_iter().flatten() {
                came.insert(format!("{mark}:{key}").into(), value.clone());
            }
        }
        meta.set_backward_transient("ECHOED", "yes");
        came
    })
}

impl Echo for Peer {
    async fn echo(
        &self,
        req: Req,
    ) -> Result<MaybeException<Resp, EchoEchoException>, ServerError> {
        if let Some(ms) = req.delay_ms {
            tokio::time::sleep(Duration::from_millis(ms as u64)).await;
        }
        if req.text.as_str() == "oops" {
            let oops = Oops { code: 7, why: "declared".into() };
            return Ok(MaybeException::Exception(EchoEchoException::Oops(oops)));
        }
        let meta = Some(exchange_metadata());
        Ok(MaybeException::Ok(Resp { text: req.text, meta, blob: req.blob }))
    }

    async fn fire(&self, _req: Req) -> Result<(), ServerError> {
        FIRED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn fired(&self) -> Result<i32, ServerError> {
        Ok(FIRED.load(Ordering::SeqCst))
    }

    async fn boom(&self, kind: pilota::FastStr) -> Result<(), ServerError> {
        if kind.as_str() == "biz" {
            return Err(ServerError::Biz(BizError::new(BIZ_STATUS, BIZ_TEXT.into())));
        }
        let kind = ApplicationExceptionKind::INTERNAL_ERROR;
        let exception = ApplicationException::new(kind, UNDECLARED_TEXT.to_string());
        Err(ServerError::Application(exception))
    }
}

#[volo::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let multiplex = match args[1].as_str() {
        "thrift" => false,
        "thrift-mux" => true,
        other => panic!("mode {other}"),
    };
    EchoServer::new(Peer).multiplex(multiplex).run(address(&args[2])).await.unwrap()
}
