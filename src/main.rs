//! The `foghorn` command: arguments in, exit status out.
use foghorn::{
    chat,
    config::Config,
    demo,
    server::{Router, Server},
};
fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let config = Config::default();
    let router = chat::routes(demo::routes(Router::new()), &config);
    let server = Server::builder()
        .config(config)
        .listen(std::env::args().nth(1).unwrap().parse().unwrap())
        .router(router)
        .handle_signals()
        .start()
        .unwrap();
    println!("listening on http://{}", server.addresses()[0]);
    server.run().unwrap();
}
