//! Starts all parts in the order that they need each other.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::address::Addresses;
use crate::cache::Cache;
use crate::cache_proxy::Proxy;
use crate::children::{Guard, Leftovers, Record};
use crate::error::{Error, Result};
use crate::faults::{Faults, Service};
use crate::http_server::{bind, bind_free, serve};
use crate::lambda::{Lambda, Surroundings};
use crate::logs::Logs;
use crate::pollers::Poller;
use crate::schedules;
use crate::services::{BucketService, Front, QueueService, Refusal, TableService};
use crate::sign_in::SignIn;
use crate::stack::{Calls, Constraints, Endpoints, Options, Parts};
use crate::template::{LocalValues, Plan, Template};
use crate::{lambda, load_balancer};

/// The audience of the local sign-in's tokens.
const AUDIENCE: &str = "purrline-local";

/// How often processes' memory is looked at, since its peak is gone when they are.
const MEASURE_EVERY: Duration = Duration::from_millis(500);

/// The listeners, bound before anything is evaluated, since values hold their ports.
struct Listeners {
    load_balancer: TcpListener,
    runtime_api: TcpListener,
    tables: TcpListener,
    queues: TcpListener,
    bucket: TcpListener,
    cache: TcpListener,
    functions: TcpListener,
}

/// A folder that is removed in the end, or the one that was asked for, locked.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Where the data stays, if it does.
    kept: bool,
    temporary: Option<TempDir>,
    lock: Option<File>,
    record: Option<Arc<Record>>,
    /// The remains of the last stack, if it was killed.
    pub(crate) leftovers: Option<Leftovers>,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(record) = &self.record {
            record.clear();
        }
        if let Some(lock) = &self.lock {
            // The system does it as well, once nothing has the file open.
            let _ = lock.unlock();
        }
    }
}

impl Folder {
    fn open(kept: Option<&Path>) -> Result<Self> {
        let Some(path) = kept else {
            let temporary = temporary_folder("purrline-")?;
            return Ok(Self {
                path: temporary.path().to_owned(),
                kept: false,
                temporary: Some(temporary),
                lock: None,
                record: None,
                leftovers: None,
            });
        };
        let doing = || Error::io(format!("can't use {}", path.display()));
        std::fs::create_dir_all(path).map_err(doing())?;
        let path = path.canonicalize().map_err(doing())?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.open(path.join("lock")).map_err(doing())?;
        if lock.try_lock().is_err() {
            let problem = format!(
                "another stack uses {}: stop it, or choose another folder with --data-dir",
                path.display()
            );
            return Err(Error::part("data folder", problem));
        }
        let file = lock.try_clone().map_err(doing())?;
        let (record, leftovers) = Record::begin(file).map_err(doing())?;
        Ok(Self {
            path,
            kept: true,
            temporary: None,
            lock: Some(lock),
            record: Some(Arc::new(record)),
            leftovers,
        })
    }

    fn kept(&self) -> Option<&Path> {
        self.kept.then_some(self.path.as_path())
    }
}

/// What functions are told that the template doesn't say. Deployed, the classifier's model lies beside its
/// binary; here it is where it was made.
fn environment(options: &Options, endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut environment = endpoints.environment();
    // What is signed for clients names the port that they know, for as long as the stack is there.
    environment.insert("UPLOAD_ENDPOINT_URL".to_owned(), endpoints.public.clone());
    environment.extend(options.environment.clone());
    let model = options.template.with_file_name("model").canonicalize();
    if let Some(model) = model
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok())
    {
        environment.insert("MODEL_DIR".to_owned(), model);
    }
    environment
}

fn temporary_folder(prefix: &str) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .map_err(Error::io("can't make a folder"))
}

pub(crate) fn read_template(path: &Path) -> Result<Template> {
    let unread = Error::io(format!("can't read {}", path.display()));
    Ok(Template::parse(
        &std::fs::read_to_string(path).map_err(unread)?,
    )?)
}

/// Starts everything.
pub(crate) async fn start(options: &Options) -> Result<(Arc<Parts>, Folder)> {
    let template = read_template(&options.template)?;
    check(&template, options)?;
    let host = options.host.as_deref().unwrap_or("127.0.0.1");
    let (load_balancer, address) = bind(host, options.port.unwrap_or(0)).await?;
    let (runtime_api, runtime_address) = bind_free().await?;
    let (tables, tables_address) = bind_free().await?;
    let (queues, queues_address) = bind_free().await?;
    let (bucket, bucket_address) = bind_free().await?;
    let (cache, cache_address) = bind_free().await?;
    let (functions, functions_address) = bind_free().await?;
    let listeners = Listeners {
        load_balancer,
        runtime_api,
        tables,
        queues,
        bucket,
        cache,
        functions,
    };

    let addresses = Addresses::new(host, address, options.public_url.as_deref());
    let local = LocalValues {
        queues_url: format!("http://{queues_address}"),
        load_balancer: address.to_string(),
        cache_port: cache_address.port(),
        ..LocalValues::default()
    };
    let parameters = parameters(&template, options, &addresses);
    let plan = template.plan(&parameters, &local)?;
    let endpoints = Endpoints {
        url: addresses.own.clone(),
        public: addresses.public.clone(),
        tables: format!("http://{tables_address}"),
        queues: format!("http://{queues_address}"),
        bucket: format!("http://{bucket_address}"),
        functions: format!("http://{functions_address}"),
        cache: plan.has_cache.then(|| format!("redis://{cache_address}")),
        region: local.region.clone(),
    };

    let folder = Folder::open(options.data_dir.as_deref())?;
    let scratch = temporary_folder("purrline-run-")?;
    let mut temporary = vec![scratch.path()];
    temporary.extend(folder.temporary.as_ref().map(TempDir::path));
    let guard = Guard::start(&temporary, folder.record.clone())?;
    let logs = Arc::new(Logs::new(options.log, options.on_line, options.warm));
    let surroundings = Surroundings {
        runtime_api: runtime_address.to_string(),
        region: local.region.clone(),
        account: local.account.clone(),
        concurrency: options.concurrency.max(1),
        starts: options.starts,
        clocks_apart: options.clocks_apart,
        environment: environment(options, &endpoints),
        guard: Arc::clone(&guard),
        logs: Arc::clone(&logs),
        next_instance: Arc::new(AtomicU32::new(1)),
        temporary: scratch.path().join("tmp"),
    };
    let lambda = Arc::new(Lambda::new(
        &plan,
        &options.bin_dir,
        options.workers,
        &surroundings,
    )?);
    // The cache takes longest: everything else starts while it does.
    let starting_cache = async {
        if !plan.has_cache {
            return Ok(None);
        }
        let proxy = (options.calls == Calls::Watched).then(|| cache_address.port());
        let logs = Arc::clone(&logs);
        let cache = Cache::start(scratch.path(), proxy, options.cache_mb, guard, logs);
        cache.await.map(Some)
    };
    let (cache, storage) = tokio::join!(
        starting_cache,
        open_storage(&plan, &folder, &local, queues_address.port())
    );
    let (tables, queues, bucket) = storage?;

    let parts = Arc::new(Parts {
        sign_in: sign_in(&parameters, &addresses.public, &folder)?,
        pollers: pollers(&plan),
        load_balancer_port: address.port(),
        plan,
        local,
        endpoints,
        lambda,
        tables,
        queues,
        bucket,
        cache: cache?,
        faults: Faults::new(),
        logs,
        requests: Arc::new(AtomicUsize::new(0)),
        _scratch: scratch,
    });
    listen(&parts, listeners, options.calls).await?;
    run(&parts, options);
    begin(&parts, options).await?;
    Ok((parts, folder))
}

/// Begins to take requests, with a process of each function where that is asked for.
async fn begin(parts: &Parts, options: &Options) -> Result<()> {
    if options.warm {
        parts.lambda.warm_up().await?;
    }
    parts.logs.begin();
    Ok(())
}

/// Refuses parameters that AWS would refuse, before anything starts.
fn check(template: &Template, options: &Options) -> Result<()> {
    let port = options.port.filter(|port| *port != 0).unwrap_or(80);
    let host = options.host.as_deref().unwrap_or("127.0.0.1");
    let bound = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let addresses = Addresses::new(host, bound, options.public_url.as_deref());
    let parameters = parameters(template, options, &addresses);
    let problems = template.problems_of(&parameters, &LocalValues::default())?;
    match (problems, options.constraints) {
        (Some(problems), Constraints::Enforced) => Err(problems.into()),
        _ => Ok(()),
    }
}

/// Starts what runs by itself.
fn run(parts: &Arc<Parts>, options: &Options) {
    for poller in &parts.pollers {
        tokio::spawn(Arc::clone(poller).run(Arc::clone(parts), options.workers));
    }
    if options.expiry {
        tokio::spawn(parts.tables.clone().sweep_now_and_then());
    }
    if options.schedules {
        for schedule in &parts.plan.schedules {
            tokio::spawn(schedules::run(Arc::clone(parts), schedule.clone()));
        }
    }
    let lambda = Arc::clone(&parts.lambda);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(MEASURE_EVERY).await;
            lambda
                .functions()
                .for_each(|function| function.measure_memory());
        }
    });
}

fn sign_in(parameters: &BTreeMap<String, String>, url: &str, folder: &Folder) -> Result<SignIn> {
    let issuer = parameters
        .get("AuthIssuer")
        .cloned()
        .unwrap_or_else(|| issuer(url));
    let audience = parameters
        .get("AuthAudience")
        .map_or(AUDIENCE, String::as_str);
    SignIn::new(&issuer, audience, folder.kept())
}

fn issuer(url: &str) -> String {
    format!("{url}/_local")
}

/// The parameters as given, else what the local stack stands in for.
pub(crate) fn parameters(
    template: &Template,
    options: &Options,
    addresses: &Addresses,
) -> BTreeMap<String, String> {
    let Addresses { own, public } = addresses;
    let mut parameters = options.parameters.clone();
    let declared = template.parameters();
    for (name, value) in [
        ("AuthIssuer", issuer(public)),
        ("AuthAudience", AUDIENCE.to_owned()),
        ("AuthJwksUrl", format!("{own}/_local/jwks.json")),
        ("MediaBaseUrl", format!("{public}/media")),
        ("CacheScheme", "redis".to_owned()),
        // No certificate: the local load balancer speaks plain HTTP.
        ("CertificateArn", String::new()),
    ] {
        // Keys of another issuer aren't here.
        let foreign = name == "AuthJwksUrl" && options.parameters.contains_key("AuthIssuer");
        if declared.contains(&name) && !foreign {
            parameters.entry(name.to_owned()).or_insert(value);
        }
    }
    parameters
}

async fn open_storage(
    plan: &Plan,
    folder: &Folder,
    local: &LocalValues,
    queues_port: u16,
) -> Result<(TableService, QueueService, Option<BucketService>)> {
    let tables = TableService::open(folder.kept())?;
    tables.create(&plan.tables)?;
    let queues = QueueService::new(local, queues_port);
    queues.create(&plan.queues).await?;
    let bucket = match plan.buckets.as_slice() {
        [] => None,
        buckets => Some(BucketService::open(&folder.path.join("bucket"), buckets)?),
    };
    Ok((tables, queues, bucket))
}

fn pollers(plan: &Plan) -> Vec<Arc<Poller>> {
    plan.mappings
        .iter()
        .filter_map(|mapping| {
            let queue = plan
                .queues
                .iter()
                .find(|queue| queue.arn == mapping.queue_arn)?;
            Some(Arc::new(Poller::new(queue.clone(), mapping.clone())))
        })
        .collect()
}

async fn listen(parts: &Arc<Parts>, listeners: Listeners, calls: Calls) -> Result<()> {
    let lambda = &parts.lambda;
    let front = |service, refusal| Front {
        service,
        refusal,
        faults: Arc::clone(&parts.faults),
        lambda: Arc::clone(lambda),
    };
    let watched = calls == Calls::Watched;
    let before_tables = watched.then(|| front(Service::Tables, Refusal::Json));
    parts
        .tables
        .clone()
        .serve(listeners.tables, before_tables)
        .await?;
    parts
        .queues
        .serve(listeners.queues, front(Service::Queues, Refusal::Json));
    if let Some(bucket) = &parts.bucket {
        bucket.serve(listeners.bucket, front(Service::Bucket, Refusal::Xml));
    }
    if let Some(cache) = &parts.cache {
        let proxy = Proxy {
            cache: Arc::clone(cache),
            faults: Arc::clone(&parts.faults),
            lambda: Arc::clone(lambda),
        };
        tokio::spawn(Arc::new(proxy).serve(listeners.cache));
    }
    let functions = Arc::clone(&parts.lambda);
    tokio::spawn(serve(
        listeners.runtime_api,
        || true,
        move |request, _| lambda::handle(Arc::clone(&functions), request),
    ));
    let invoked = Arc::clone(parts);
    tokio::spawn(serve(
        listeners.functions,
        || true,
        move |request, _| load_balancer::invoke(Arc::clone(&invoked), request),
    ));
    let balancer = Arc::clone(parts);
    tokio::spawn(serve(
        listeners.load_balancer,
        || true,
        move |request, client| load_balancer::handle(Arc::clone(&balancer), request, client),
    ));
    Ok(())
}
