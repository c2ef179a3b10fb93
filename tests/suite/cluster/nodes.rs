//! A real cluster of the system's Valkey or Redis on loopback: TLS, users, three shards, a replica for each.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, TlsCertificates, cmd};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::{eventually, repository};

/// The user with all rights.
const ADMIN: &str = "admin";
/// The user with the rights that the template gives to functions.
const USER: &str = "purrline";
/// The password of both.
const PASSWORD: &str = "meow";
/// A user with the rights of `USER` who may sign in with any password. It stands in for `ElastiCache`'s tokens, which
/// this server can't check.
pub(super) const ANY_PASSWORD: &str = "anybody";

/// The shard whose address functions have.
pub(super) const ENTRY: usize = 1;
/// Nodes that own slots.
const SHARDS: usize = 3;
/// Slots of the cluster.
const SLOTS: usize = 16_384;
/// Milliseconds of silence after which the other nodes take a node for dead.
const NODE_TIMEOUT: &str = "1000";
/// The number of attempts to start: now and then another process takes a port between the check and the start.
const TRIES: usize = 5;

/// A running cluster. Its processes end when this is dropped.
pub(super) struct Nodes {
    nodes: Vec<Node>,
    folder: TempDir,
}

struct Node {
    child: Child,
    connection: MultiplexedConnection,
    port: u16,
    bus: u16,
    id: String,
}

impl Nodes {
    /// Starts a cluster, and waits until every slot is served and every replica has caught up.
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let mut nodes = Vec::new();
        for number in 0..2 * SHARDS {
            nodes.push(Node::start(folder.path(), number).await);
        }
        let cluster = Self { nodes, folder };
        cluster.join().await;
        cluster
    }

    async fn join(&self) {
        let first = &self.nodes[0];
        for other in &self.nodes[1..] {
            let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", other.port, other.bus);
            first.ask::<()>(&meet).await;
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let all = format!("cluster_known_nodes:{}", self.nodes.len());
            node.wait_for_reply("CLUSTER INFO", &all).await;
            if number < SHARDS {
                let (from, to) = (SLOTS * number / SHARDS, SLOTS * (number + 1) / SHARDS - 1);
                let add = format!("CLUSTER ADDSLOTSRANGE {from} {to}");
                node.ask::<()>(&add).await;
            } else {
                let of = &self.nodes[number - SHARDS].id;
                node.wait_for_reply("CLUSTER NODES", of).await;
                node.ask::<()>(&format!("CLUSTER REPLICATE {of}")).await;
            }
        }
        for (number, node) in self.nodes.iter().enumerate() {
            node.wait_for_reply("CLUSTER INFO", "cluster_state:ok")
                .await;
            let all = format!("cluster_slots_ok:{SLOTS}");
            node.wait_for_reply("CLUSTER INFO", &all).await;
            let role = if number < SHARDS {
                "connected_slaves:1"
            } else {
                "master_link_status:up"
            };
            node.wait_for_reply("INFO replication", role).await;
        }
    }

    /// Returns the functions' settings: the cluster's address, their user, and the authority of its certificate.
    pub(super) fn environment(&self) -> [(String, String); 2] {
        let url = format!(
            "rediss://{USER}:{PASSWORD}@127.0.0.1:{}",
            self.nodes[ENTRY].port
        );
        [
            ("CACHE_URL".to_owned(), url),
            (
                "CACHE_CA_FILE".to_owned(),
                self.authority().to_str().unwrap().to_owned(),
            ),
        ]
    }

    /// Returns the cluster's address without a user.
    pub(super) fn address(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.nodes[ENTRY].port)
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Returns the number of keys of each shard.
    pub(super) async fn keys(&self) -> Vec<usize> {
        let mut keys = Vec::new();
        for node in &self.nodes[..SHARDS] {
            keys.push(node.ask("DBSIZE").await);
        }
        keys
    }

    /// Returns the users of all connections to the shards.
    pub(super) async fn connected(&self) -> Vec<String> {
        let mut users = Vec::new();
        for node in &self.nodes[..SHARDS] {
            let list: String = node.ask("CLIENT LIST TYPE normal").await;
            let fields = list.split_whitespace();
            users.extend(fields.filter_map(|field| Some(field.strip_prefix("user=")?.to_owned())));
        }
        users
    }

    /// Returns a key's slot, and the number of the shard that owns it at first.
    pub(super) async fn slot(&self, key: &str) -> (usize, usize) {
        let slot: usize = self.nodes[0].ask(&format!("CLUSTER KEYSLOT {key}")).await;
        let shard = (0..SHARDS).find(|shard| slot < SLOTS * (shard + 1) / SHARDS);
        (slot, shard.unwrap())
    }

    /// Begins to move a slot: the old owner redirects requests for keys that it lacks to the new one.
    pub(super) async fn begin_move(&self, slot: usize, from: usize, to: usize) {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        to.ask::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", from.id))
            .await;
        from.ask::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", to.id))
            .await;
    }

    /// Moves up to `most` keys of the slot.
    pub(super) async fn move_keys(
        &self,
        slot: usize,
        from: usize,
        to: usize,
        most: usize,
    ) -> usize {
        let ask = format!("CLUSTER GETKEYSINSLOT {slot} {most}");
        let keys: Vec<String> = self.nodes[from].ask(&ask).await;
        let moved = keys.len();
        for key in keys {
            let (port, node) = (self.nodes[to].port, &self.nodes[from]);
            let migrate = format!("MIGRATE 127.0.0.1 {port} {key} 0 5000 AUTH2 {ADMIN} {PASSWORD}");
            node.ask::<String>(&migrate).await;
        }
        moved
    }

    /// Makes a shard the slot's owner, and tells all shards: the new owner first, so that no client is sent back and forth.
    pub(super) async fn end_move(&self, slot: usize, to: usize) {
        let others = (0..SHARDS).filter(|shard| *shard != to);
        for at in std::iter::once(to).chain(others) {
            let owner = format!("CLUSTER SETSLOT {slot} NODE {}", self.nodes[to].id);
            self.nodes[at].ask::<()>(&owner).await;
        }
    }

    /// Kills a shard's node. Its replica takes over after a while.
    pub(super) async fn kill(&mut self, shard: usize) {
        self.nodes[shard].child.kill().await.unwrap();
    }

    /// Suspends a shard's node: its connections stay open, and no answer comes. Its replica takes over after a while.
    pub(super) async fn silence(&self, shard: usize) {
        let id = self.nodes[shard].child.id().unwrap().to_string();
        let stopped = Command::new("kill").args(["-STOP", &id]).status().await;
        assert!(stopped.unwrap().success());
    }

    /// Makes every node close connections that are idle for a second, and waits until functions have none.
    pub(super) async fn close_idle_connections(&self) {
        for node in &self.nodes {
            node.ask::<()>("CONFIG SET timeout 1").await;
        }
        eventually("all connections of functions are closed", async || {
            let users = self.connected().await;
            (!users.iter().any(|user| user == USER)).then_some(())
        })
        .await;
    }

    /// Waits until a shard's replica serves in its place.
    pub(super) async fn taken_over(&self, shard: usize) {
        self.nodes[shard + SHARDS]
            .wait_for_reply("ROLE", "master")
            .await;
    }
}

impl Node {
    async fn start(folder: &Path, number: usize) -> Self {
        for _ in 0..TRIES {
            if let Some(node) = Self::try_start(folder, number).await {
                return node;
            }
        }
        panic!(
            "node {number} doesn't start: see its log in {}",
            folder.display()
        );
    }

    async fn try_start(folder: &Path, number: usize) -> Option<Self> {
        let (port, bus) = (free_port(), free_port());
        let own = folder.join(number.to_string());
        std::fs::create_dir_all(&own).unwrap();
        let mut settings = String::new();
        for line in [
            "port 0",
            &format!("tls-port {port}"),
            &format!("cluster-port {bus}"),
            "bind 127.0.0.1",
            "tls-cert-file ../node.pem",
            "tls-key-file ../node.key",
            "tls-ca-cert-file ../authority.pem",
            "tls-auth-clients no",
            "tls-replication yes",
            "tls-cluster yes",
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            &format!("cluster-node-timeout {NODE_TIMEOUT}"),
            "cluster-require-full-coverage no",
            "repl-diskless-sync-delay 0",
            "appendonly no",
            "save \"\"",
            "user default off",
            &format!("user {ADMIN} on >{PASSWORD} ~* &* +@all"),
            &format!("user {USER} >{PASSWORD} {}", function_rights()),
            &format!("user {ANY_PASSWORD} nopass {}", function_rights()),
            &format!("masteruser {ADMIN}"),
            &format!("masterauth {PASSWORD}"),
        ] {
            writeln!(settings, "{line}").unwrap();
        }
        std::fs::write(own.join("settings"), settings).unwrap();
        let log = std::fs::File::create(own.join("log")).unwrap();
        let child = Command::new(server())
            .arg("settings")
            .current_dir(&own)
            .stdin(Stdio::null())
            .stdout(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = format!("rediss://{ADMIN}:{PASSWORD}@127.0.0.1:{port}");
        let root_cert = std::fs::read(folder.join("authority.pem")).ok();
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert,
        };
        let client = Client::build_with_tls(url, certificates).unwrap();
        let mut child = Some(child);
        let connection = eventually("a node of the cache answers or ends", async || {
            if let Ok(connection) = client.get_multiplexed_async_connection().await {
                return Some(Some(connection));
            }
            let ended = child
                .as_mut()
                .is_some_and(|it| !matches!(it.try_wait(), Ok(None)));
            ended.then_some(None)
        })
        .await?;
        let mut node = Self {
            child: child.take()?,
            connection,
            port,
            bus,
            id: String::new(),
        };
        node.id = node.ask("CLUSTER MYID").await;
        Some(node)
    }

    async fn ask<T: FromRedisValue>(&self, words: &str) -> T {
        match self.try_ask(words).await {
            Ok(answer) => answer,
            Err(error) => panic!("{words}: {error}"),
        }
    }

    async fn try_ask<T: FromRedisValue>(&self, words: &str) -> redis::RedisResult<T> {
        let mut words = words.split_whitespace();
        let mut command = cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        let mut connection = self.connection.clone();
        command.query_async(&mut connection).await
    }

    /// Waits until an answer contains the expected text.
    async fn wait_for_reply(&self, words: &str, expected: &str) {
        let what = format!("{words} of the node at {} says {expected}", self.port);
        eventually(&what, async || {
            let answer = self.try_ask::<redis::Value>(words).await;
            format!("{answer:?}").contains(expected).then_some(())
        })
        .await;
    }
}

/// Returns the rights that the template gives to functions.
fn function_rights() -> String {
    let template = std::fs::read_to_string(repository().join("template.yaml")).unwrap();
    let mut lines = template.lines();
    let access = lines.find_map(|line| line.trim().strip_prefix("AccessString: "));
    access.unwrap().to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn server() -> &'static str {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if there("valkey-server") {
        "valkey-server"
    } else {
        "redis-server"
    }
}

/// Writes the certificates of a test authority and of the nodes, which the authority signed.
fn certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // The name must differ from the nodes', or their certificates would seem self-signed.
    let name = &mut authority.distinguished_name;
    name.push(DnType::CommonName, "authority");
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    let authority = Issuer::new(authority, key);
    let node_key = KeyPair::generate().unwrap();
    let node = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let node = node.signed_by(&node_key, &authority).unwrap();
    for (file, text) in [
        ("authority.pem", certificate.pem()),
        ("node.pem", node.pem()),
        ("node.key", node_key.serialize_pem()),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
}
