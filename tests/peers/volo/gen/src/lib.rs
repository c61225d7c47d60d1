include!(concat!(env!("OUT_DIR"), "/thrift_gen.rs"));
