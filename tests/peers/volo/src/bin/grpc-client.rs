//! usage: grpc-client ADDRESS [CALLS]
//!
//! Calls every method of echo.proto and prints one line `what value` for each thing it tried. Ends with
//! 1 as soon as an answer is wrong.
use gen::proto_gen::pbecho::{Msg, PbEchoClient, PbEchoClientBuilder};
use metainfo::{Backward, Forward, MetaInfo, METAINFO};
use std::time::Duration;
use tokio_stream::StreamExt;
use volo_grpc::{Request, Response, Status};
use volo_peer::{address, blob, FAIL_TEXT};

const DELAY_MS: &str = "3000";
const DEADLINE: Duration = Duration::from_millis(200);

fn wrong(what: &str, got: impl std::fmt::Debug) -> ! {
    println!("WRONG {what} {got:?}");
    std::process::exit(1)
}

fn good<T>(what: &str, answer: Result<Response<T>, Status>) -> Response<T> {
    answer.unwrap_or_else(|status| wrong(what, status))
}

fn msg(text: &str, n: i32) -> Msg {
    Msg { text: text.to_string().into(), n, ..Default::default() }
}

fn with_metadata<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-peer", "abc".parse().unwrap());
    request
}

fn must_echo_metadata<T>(what: &str, answer: &Response<T>) {
    let came = answer.metadata();
    if came.get("x-echoed").map(|value| value.as_bytes()) != Some(b"abc") {
        wrong(what, came);
    }
}

async fn echo(client: &PbEchoClient, text: &str) {
    let answer = good("echo", client.unary(msg(text, 1)).await).into_inner();
    if answer.text.as_str() != text {
        wrong("echo", (text, answer.text));
    }
}

async fn unary(client: &PbEchoClient) {
    METAINFO.with(|meta| meta.borrow_mut().set_persistent("TENANT", "blue"));
    let answer = good("unary", client.unary(with_metadata(msg("hello", 7))).await);
    must_echo_metadata("unary", &answer);
    if answer.get_ref().n != 7 || answer.get_ref().text.as_str() != "hello" {
        wrong("unary", answer.get_ref());
    }
    println!("unary hello");
    METAINFO.with(|meta| {
        for (key, value) in meta.borrow().get_all_backward_downstreams().into_iter().flatten() {
            println!("backward {key}={value}");
        }
    });
}

async fn fail(client: &PbEchoClient) {
    for code in 1..=16 {
        match client.fail(msg("", code)).await {
            Err(status) if status.code() as i32 == code && status.message() == FAIL_TEXT => (),
            Err(status) => wrong("fail", (code, status)),
            Ok(_) => wrong("fail", code),
        }
    }
    println!("fail 16");
}

async fn streams(client: &PbEchoClient) {
    let messages = |count| tokio_stream::iter((0..count).map(|n| msg("ab", n)));
    let answer = good("up", client.up(with_metadata(messages(50))).await);
    must_echo_metadata("up", &answer);
    if answer.get_ref().n != 50 || answer.get_ref().text.as_str() != "ab".repeat(50) {
        wrong("up", answer.get_ref());
    }
    println!("up 50");

    let answer = good("down", client.down(with_metadata(msg("d", 50))).await);
    must_echo_metadata("down", &answer);
    let got: Vec<_> = answer.into_inner().map(|m| m.map(|m| m.n).unwrap_or(-1)).collect().await;
    if got != (0..50).collect::<Vec<_>>() {
        wrong("down", got);
    }
    println!("down 50");

    let answer = good("both", client.both(with_metadata(messages(50))).await);
    must_echo_metadata("both", &answer);
    let got: Vec<_> = answer.into_inner().map(|m| m.map(|m| m.n).unwrap_or(-1)).collect().await;
    if got != (0..50).collect::<Vec<_>>() {
        wrong("both", got);
    }
    println!("both 50");
}

async fn long(client: &PbEchoClient, bytes: usize) {
    let blob = blob(bytes);
    let message = Msg { blob: blob.clone().into(), ..Default::default() };
    let answer = good("long", client.unary(message).await).into_inner();
    if answer.blob[..] != blob[..] {
        wrong("long", answer.blob.len());
    }
    println!("long {bytes}");
}

/// The timeout of Volo's clients is their own: what travels is `grpc-timeout`, which they add.
async fn deadline(to: &str) {
    let client = PbEchoClientBuilder::new("pbecho").rpc_timeout(Some(DEADLINE)).address(address(to)).build();
    let mut request = Request::new(msg("late", 1));
    request.metadata_mut().insert("x-delay-ms", DELAY_MS.parse().unwrap());
    match client.unary(request).await {
        Err(status) => println!("deadline {}", status.code() as i32),
        Ok(answer) => wrong("deadline", answer.get_ref()),
    }
}

async fn concurrent(client: &PbEchoClient) {
    let calls = (0..100).map(|i| {
        let client = client.clone();
        tokio::spawn(METAINFO.scope(MetaInfo::new().into(), async move {
            echo(&client, &format!("concurrent {i}")).await
        }))
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    println!("concurrent 100");
}

async fn run(to: String, calls: usize) {
    let client = PbEchoClientBuilder::new("pbecho").address(address(&to)).build();
    unary(&client).await;
    fail(&client).await;
    streams(&client).await;
    long(&client, 1 << 20).await;
    long(&client, 4 << 20).await;
    deadline(&to).await;
    concurrent(&client).await;
    for i in 0..calls {
        echo(&client, &format!("serial {i}")).await;
    }
    println!("serial {calls}");
}

#[volo::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let to = args.next().expect("address");
    let calls = args.next().map_or(1000, |n| n.parse().expect("calls"));
    METAINFO.scope(MetaInfo::new().into(), run(to, calls)).await
}
