fn main() {
    volo_build::Builder::thrift()
        .add_service("../../echo.thrift")
        .filename("thrift_gen.rs".into())
        .write()
        .unwrap();
}
