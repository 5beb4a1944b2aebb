//! Three private nats-servers that form one cluster, and routes between them that a test can cut.
//!
//! Every route leads through a proxy of its own, and the address that a server advertises to the others leads nowhere: otherwise
//! the servers would learn each other's ports and connect past the proxies. Clients learn no other server either, so a test
//! decides by the URL which servers a client may use.

use std::fs;
use std::path::Path;

use crate::nats_server::{NatsServer, NatsServers};
use crate::{Proxy, free_port};

/// The number of servers.
const SERVERS: usize = 3;

/// Three servers of one cluster, `n1` to `n3`. Dropping it kills them and removes their stores.
#[derive(Debug)]
pub struct NatsCluster {
    servers: [NatsServer; SERVERS],
    routes: Vec<Route>,
}

impl NatsServers for NatsCluster {
    async fn start_with(folder: &Path, files: Vec<(String, String)>, env: &[(String, String)]) -> Self {
        Self::with_files(folder, files, env).await
    }

    fn client_url(&self) -> String {
        self.url()
    }
}

/// The route that one server opens to another one.
#[derive(Debug)]
struct Route {
    from: usize,
    to: usize,
    proxy: Proxy,
}

impl NatsCluster {
    /// Starts three servers with a configuration of several files, as [`NatsServer::with_files`]; each `server.conf` gets the
    /// server's name and the routes. Returns when all of them are healthy.
    pub async fn with_files(
        folder: &Path,
        files: impl IntoIterator<Item = (String, String)>,
        env: &[(String, String)],
    ) -> Self {
        let files: Vec<(String, String)> = files.into_iter().collect();
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let mut routes = Vec::new();
        for from in 0..SERVERS {
            for to in (0..SERVERS).filter(|to| *to != from) {
                let proxy = Proxy::start(ports[to]).await;
                routes.push(Route { from, to, proxy });
            }
        }
        let start = async |index: usize| {
            let folder = folder.join(name(index));
            fs::create_dir_all(&folder).expect("a folder for the server's files");
            let files = files.iter().map(|(path, text)| match path.as_str() {
                "server.conf" => (path.clone(), clustered(text, index, ports[index], &routes)),
                _ => (path.clone(), text.clone()),
            });
            NatsServer::with_files(&folder, files, env).await
        };
        // Together: a server is healthy only when most of them are there.
        let (one, two, three) = tokio::join!(start(0), start(1), start(2));
        let servers = [one, two, three];
        Self { servers, routes }
    }

    /// Returns the URL of all servers.
    #[must_use]
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// Returns a server, by its index from 0.
    ///
    /// # Panics
    /// If there is no such server.
    #[must_use]
    pub fn server(&self, index: usize) -> &NatsServer {
        &self.servers[index]
    }

    /// Returns a server, to stop or restart it.
    ///
    /// # Panics
    /// If there is no such server.
    pub fn server_mut(&mut self, index: usize) -> &mut NatsServer {
        &mut self.servers[index]
    }

    /// Returns the index of the server of this name, as the exchange reports it.
    ///
    /// # Panics
    /// If no server has the name.
    #[must_use]
    pub fn index_of(&self, server: &str) -> usize {
        let index = (0..SERVERS).find(|index| name(*index) == server);
        index.unwrap_or_else(|| panic!("no server {server}"))
    }

    /// Cuts a server off from the others: its routes are closed, and new ones are refused. Its clients stay connected.
    pub fn cut_off(&self, index: usize) {
        self.routes_of(index).for_each(Proxy::disconnect);
    }

    /// Lets a server reach the others again.
    pub fn reconnect(&self, index: usize) {
        self.routes_of(index).for_each(Proxy::restore);
    }

    /// Restarts all servers at once after a crash of all.
    pub async fn restart_all(&mut self) {
        self.servers.iter_mut().for_each(NatsServer::kill9);
        let [one, two, three] = &mut self.servers;
        tokio::join!(one.restart(), two.restart(), three.restart());
    }

    fn routes_of(&self, index: usize) -> impl Iterator<Item = &Proxy> {
        let routes = self.routes.iter();
        routes
            .filter(move |route| route.from == index || route.to == index)
            .map(|route| &route.proxy)
    }
}

fn name(index: usize) -> String {
    format!("n{}", index + 1)
}

/// Makes the configuration of a stand-alone server that of a server of the cluster.
fn clustered(text: &str, index: usize, port: u16, routes: &[Route]) -> String {
    let routes: Vec<String> = routes
        .iter()
        .filter(|route| route.from == index)
        .map(|route| format!("\"nats-route://127.0.0.1:{}\"", route.proxy.port()))
        .collect();
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("server_name:"))
        .map(|line| format!("{line}\n"))
        .collect();
    format!(
        "server_name: {}\n{text}\ncluster {{\n  name: slacktide\n  listen: \"127.0.0.1:{port}\"\n  \
         advertise: \"127.0.0.1:{}\"\n  no_advertise: true\n  routes: [{}]\n}}\n",
        name(index),
        free_port(),
        routes.join(", ")
    )
}
