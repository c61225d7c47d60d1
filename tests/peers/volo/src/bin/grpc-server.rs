//! usage: grpc-server ADDRESS
//!
//! The service PbEcho of echo.proto, without binary metadata: Volo ends the connection on those.
use gen::proto_gen::pbecho::{Msg, PbEcho, PbEchoServer};
use metainfo::{Backward, Forward, METAINFO};
use std::time::Duration;
use tokio_stream::{wrappers::ReceiverStream, Stream, StreamExt};
use volo_grpc::metadata::MetadataMap;
use volo_grpc::server::{Server, ServiceBuilder};
use volo_grpc::{BoxStream, Code, RecvStream, Request, Response, Status};
use volo_peer::{address, FAIL_TEXT};

const STREAM_AHEAD: usize = 4;

struct Peer;

fn answer<T>(came: &MetadataMap, message: T) -> Response<T> {
    let mut response = Response::new(message);
    if let Some(value) = came.get("x-peer") {
        response.metadata_mut().insert("x-echoed", value.clone());
    }
    response
}

fn delay(came: &MetadataMap) -> Duration {
    let ms = came.get("x-delay-ms").and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_millis(ms.unwrap_or(0))
}

type Messages = BoxStream<'static, Result<Msg, Status>>;

fn boxed(messages: impl Stream<Item = Result<Msg, Status>> + Send + 'static) -> Messages {
    Box::pin(messages)
}

/// Whoever sends a tenant gets it back.
fn exchange_metainfo() {
    METAINFO.with(|meta| {
        let mut meta = meta.borrow_mut();
        if let Some(tenant) = meta.get_persistent("TENANT") {
            meta.set_backward_transient("TENANT", tenant);
        }
    });
}

impl PbEcho for Peer {
    async fn unary(&self, request: Request<Msg>) -> Result<Response<Msg>, Status> {
        let (came, _, message) = request.into_parts();
        exchange_metainfo();
        tokio::time::sleep(delay(&came)).await;
        Ok(answer(&came, message))
    }

    async fn fail(&self, request: Request<Msg>) -> Result<Response<Msg>, Status> {
        Err(Status::new(Code::from_i32(request.get_ref().n), FAIL_TEXT))
    }

    async fn up(&self, request: Request<RecvStream<Msg>>) -> Result<Response<Msg>, Status> {
        let (came, _, mut messages) = request.into_parts();
        let (mut text, mut n) = (String::new(), 0);
        while let Some(message) = messages.next().await {
            text.push_str(&message?.text);
            n += 1;
        }
        Ok(answer(&came, Msg { text: text.into(), n, ..Default::default() }))
    }

    async fn down(&self, request: Request<Msg>) -> Result<Response<Messages>, Status> {
        let (came, _, asked) = request.into_parts();
        let messages = (0..asked.n).map(move |n| Ok(Msg { n, ..asked.clone() }));
        Ok(answer(&came, boxed(tokio_stream::iter(messages))))
    }

    async fn both(&self, request: Request<RecvStream<Msg>>) -> Result<Response<Messages>, Status> {
        let (came, _, mut messages) = request.into_parts();
        let (sender, receiver) = tokio::sync::mpsc::channel(STREAM_AHEAD);
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                if sender.send(message).await.is_err() {
                    break;
                }
            }
        });
        Ok(answer(&came, boxed(ReceiverStream::new(receiver))))
    }
}

#[volo::main]
async fn main() {
    let to = std::env::args().nth(1).expect("address");
    let service = ServiceBuilder::new(PbEchoServer::new(Peer)).build();
    Server::new().add_service(service).run(address(&to)).await.unwrap()
}
