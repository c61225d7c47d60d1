//! usage: client ttheader|ttheader-bare|framed|buffered|mux ADDRESS [CALLS]
//!
//! Prints one line `what value` for each thing it tried. Ends with 1 as soon as an answer is wrong
//! that no protocol on the way excuses; what depends on the way (metadata, business errors) is printed
//! for the test to judge.
use gen::thrift_gen::echo::{EchoClient, EchoClientBuilder, Req};
use metainfo::{Backward, Forward, MetaInfo, METAINFO};
use std::time::Duration;
use volo_peer::{address, UNDECLARED_TEXT};
use volo_thrift::codec::default::{
    thrift::MakeThriftCodec, ttheader::MakeTTHeaderCodec, DefaultMakeCodec,
};
use volo_thrift::{ClientError, MaybeException};

const BLOB_BYTES: usize = 1 << 20;

fn wrong(what: &str, got: impl std::fmt::Debug) -> ! {
    println!("WRONG {what} {got:?}");
    std::process::exit(1)
}

fn request(text: &str) -> Req {
    Req { text: text.to_string().into(), ..Default::default() }
}

fn connect(mode: &str, to: &str) -> EchoClient {
    let builder = EchoClientBuilder::new("demo.echo")
        .caller_name("demo.caller")
        .address(address(to))
        .rpc_timeout(Some(Duration::from_secs(10)));
    match mode {
        "ttheader" => builder.build(),
        "mux" => builder.multiplex(true).build(),
        "ttheader-bare" => builder
            .make_codec(DefaultMakeCodec::new(MakeTTHeaderCodec::new(MakeThriftCodec::new())))
            .build(),
        "framed" => builder.make_codec(DefaultMakeCodec::framed()).build(),
        "buffered" => builder.make_codec(DefaultMakeCodec::buffered()).build(),
        other => panic!("mode {other}"),
    }
}

async fn echo(client: &EchoClient, text: &str, delay_ms: Option<i32>) {
    let request = Req { delay_ms, ..request(text) };
    match client.echo(request).await {
        Ok(MaybeException::Ok(reply)) if reply.text.as_str() == text => (),
        Ok(MaybeException::Ok(reply)) => wrong("echo", (text, reply.text)),
        Ok(MaybeException::Exception(_)) => wrong("echo", "declared exception"),
        Err(error) => wrong("echo", error),
    }
}

async fn metadata(client: &EchoClient) {
    METAINFO.with(|meta| {
        let mut meta = meta.borrow_mut();
        meta.set_persistent("TENANT", "blue");
        meta.set_transient("HOP", "one");
    });
    let reply = match client.echo(request("hello")).await {
        Ok(MaybeException::Ok(reply)) => reply,
        Ok(MaybeException::Exception(_)) => wrong("metadata", "declared exception"),
        Err(error) => wrong("metadata", error),
    };
    println!("echo {}", reply.text);
    let mut came: Vec<_> = reply.meta.unwrap_or_default().into_iter().collect();
    came.sort();
    for (key, value) in came {
        println!("meta {key}={value}");
    }
    METAINFO.with(|meta| {
        for (key, value) in meta.borrow().get_all_backward_downstreams().into_iter().flatten() {
            println!("backward {key}={value}");
        }
    });
}

async fn exceptions(client: &EchoClient) {
    match client.echo(request("oops")).await {
        Ok(MaybeException::Exception(_)) => println!("oops declared"),
        Ok(MaybeException::Ok(_)) => wrong("oops", "a reply"),
        Err(error) => wrong("oops", error),
    }
    match client.boom("undeclared".into()).await {
        Err(ClientError::Application(e)) if e.message().contains(UNDECLARED_TEXT) => {
            println!("boom {:?} {}", e.kind(), e.message())
        }
        other => wrong("boom", other),
    }
    match client.boom("biz".into()).await {
        Ok(()) => println!("biz dropped"),
        Err(ClientError::Biz(e)) => println!("biz {} {}", e.status_code, e.status_message),
        Err(ClientError::Application(e)) => println!("biz exception {:?} {}", e.kind(), e.message()),
        other => wrong("biz", other),
    }
}

async fn fired(client: &EchoClient) -> i32 {
    client.fired().await.unwrap_or_else(|error| wrong("fired", error))
}

/// A oneway may arrive after the next call: it is asked for until it has come.
async fn oneways(client: &EchoClient) {
    let before = fired(client).await;
    for _ in 0..3 {
        if let Err(error) = client.fire(request("f")).await {
            wrong("fire", error);
        }
    }
    for _ in 0..200 {
        if fired(client).await == before + 3 {
            println!("fired 3");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    wrong("fired", fired(client).await - before)
}

async fn long_body(client: &EchoClient) {
    let blob: Vec<u8> = (0..BLOB_BYTES).map(|i| (i % 251) as u8).collect();
    let request = Req { blob: Some(blob.clone().into()), ..request("long") };
    match client.echo(request).await {
        Ok(MaybeException::Ok(reply)) if reply.blob.as_deref() == Some(&blob[..]) => {
            println!("long {BLOB_BYTES}")
        }
        Ok(_) => wrong("long", "another blob"),
        Err(error) => wrong("long", error),
    }
}

/// On one connection where the mode multiplexes; the first asked is the last to be answered.
async fn concurrent(client: &EchoClient) {
    let calls = (0..50).map(|i| {
        let client = client.clone();
        tokio::spawn(METAINFO.scope(MetaInfo::new().into(), async move {
            echo(&client, &format!("concurrent {i}"), Some(100 - 2 * i)).await
        }))
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    println!("concurrent 50");
}

async fn run(mode: String, to: String, calls: usize) {
    let client = connect(&mode, &to);
    metadata(&client).await;
    exceptions(&client).await;
    oneways(&client).await;
    long_body(&client).await;
    concurrent(&client).await;
    for i in 0..calls {
        echo(&client, &format!("serial {i}"), None).await;
    }
    println!("serial {calls}");
}

#[volo::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (mode, to) = (args.next().expect("mode"), args.next().expect("address"));
    let calls = args.next().map_or(500, |n| n.parse().expect("calls"));
    METAINFO.scope(MetaInfo::new().into(), run(mode, to, calls)).await
}
