fn main() {
    volo_build::Builder::thrift()
        .add_service("../../echo.thrift")
        .add_service("../../legacy/known/legacy.thrift")
        .add_service("../../legacy/old/legacy.thrift")
        .filename("thrift_gen.rs".into())
        .write()
        .unwrap();
    volo_build::Builder::protobuf()
        .add_service("../../echo.proto")
        .include_dirs(vec!["../..".into()])
        .filename("proto_gen.rs".into())
        .write()
        .unwrap();
}
