//! Starts a stack's parts in the order in which they need each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Once};
use std::time::Duration;

use tempfile::TempDir;

use super::data_folder::{DataFolder, temporary_folder};
use super::endpoints::Endpoints;
use super::options::{Calls, Options};
use super::parameters;
use super::parts::Parts;
use crate::address::Addresses;
use crate::cache::{Cache, CacheProxy};
use crate::children::Guard;
use crate::error::Result;
use crate::faults::{Faults, Service};
use crate::http_server::{BoundListener, bind, bind_free, serve};
use crate::lambda::{self, Lambda, ProcessSettings};
use crate::load_balancer::{InvokeApi, LoadBalancer, LocalRoutes};
use crate::logs::Logs;
use crate::monitor::Monitor;
use crate::pollers::{Poller, PollerParts};
use crate::schedules;
use crate::services::{BucketService, ErrorFormat, Interceptor, QueueService, TableService};
use crate::sign_in::SignIn;
use crate::template::{LocalValues, Plan, Template};

/// The interval at which the memory of processes is measured.
const MEASURE_EVERY: Duration = Duration::from_millis(500);

/// Starts a stack.
pub(super) async fn start(options: &Options) -> Result<(Parts, DataFolder)> {
    let template = parameters::read_template(&options.template)?;
    parameters::check(&template, options)?;
    let listeners = Listeners::bind(options).await?;
    let deployment = Deployment::evaluate(&template, options, &listeners)?;
    let data = DataFolder::open(options.data_dir.as_deref())?;
    let parts = start_parts(options, deployment, &listeners, &data).await?;
    start_servers(&parts, listeners, options.calls).await?;
    start_background_tasks(&parts, options);
    if options.warm {
        parts.lambda.warm_up().await?;
    }
    parts.logs.start_printing();
    Ok((parts, data))
}

/// The listeners, bound before the template is evaluated, because its values contain their ports.
struct Listeners {
    load_balancer: BoundListener,
    runtime_api: BoundListener,
    tables: BoundListener,
    queues: BoundListener,
    bucket: BoundListener,
    cache: BoundListener,
    functions: BoundListener,
}

impl Listeners {
    async fn bind(options: &Options) -> Result<Self> {
        Ok(Self {
            load_balancer: bind(options.host(), options.port.unwrap_or(0)).await?,
            runtime_api: bind_free().await?,
            tables: bind_free().await?,
            queues: bind_free().await?,
            bucket: bind_free().await?,
            cache: bind_free().await?,
            functions: bind_free().await?,
        })
    }
}

/// The template evaluated for the bound listeners.
struct Deployment {
    plan: Arc<Plan>,
    local: LocalValues,
    parameters: BTreeMap<String, String>,
    endpoints: Endpoints,
}

impl Deployment {
    fn evaluate(template: &Template, options: &Options, listeners: &Listeners) -> Result<Self> {
        let url = |bound: &BoundListener| format!("http://{}", bound.address);
        let balancer = listeners.load_balancer.address;
        let public_url = options.public_url.as_deref();
        let addresses = Addresses::new(options.host(), balancer, public_url);
        let local = LocalValues {
            queues_url: url(&listeners.queues),
            load_balancer: balancer.to_string(),
            cache_port: listeners.cache.address.port(),
            ..LocalValues::default()
        };
        let parameters = parameters::complete(template, options, &addresses);
        let plan = template.plan(&parameters, &local)?;
        let endpoints = Endpoints {
            url: addresses.own,
            public: addresses.public,
            tables: url(&listeners.tables),
            queues: url(&listeners.queues),
            bucket: url(&listeners.bucket),
            functions: url(&listeners.functions),
            cache: plan
                .has_cache
                .then(|| format!("redis://{}", listeners.cache.address)),
            region: local.region.clone(),
        };
        Ok(Self {
            plan: Arc::new(plan),
            local,
            parameters,
            endpoints,
        })
    }
}

/// Starts the cache and opens the other parts.
async fn start_parts(
    options: &Options,
    deployment: Deployment,
    listeners: &Listeners,
    data: &DataFolder,
) -> Result<Parts> {
    let scratch = temporary_folder("purrline-run-")?;
    let temporary: Vec<_> = [scratch.path()]
        .into_iter()
        .chain(data.temporary())
        .collect();
    let guard = Guard::start(&temporary, data.record())?;
    let logs = Arc::new(Logs::new(options.log, options.on_line, options.warm));
    let settings = process_settings(options, &deployment, listeners, &guard, &logs, &scratch);
    let Deployment {
        plan,
        local,
        parameters,
        endpoints,
    } = deployment;
    let lambda = Lambda::new(&plan, &options.bin_dir, options.workers, &settings)?;
    let lambda = Arc::new(lambda);
    // The cache takes longest to start, so the storage opens meanwhile.
    let (cache, storage) = tokio::join!(
        start_cache(&plan, options, listeners, scratch.path(), guard, &logs),
        open_storage(&plan, data, &local, listeners.queues.address.port())
    );
    let (tables, queues, bucket) = storage?;
    let faults = Faults::new();
    let poller_parts = PollerParts {
        queues: queues.clone(),
        lambda: Arc::clone(&lambda),
        faults: Arc::clone(&faults),
        region: local.region.clone(),
    };
    let pollers = make_pollers(&plan, &poller_parts);
    let monitor = Monitor::new(
        Arc::clone(&plan),
        Arc::clone(&lambda),
        queues.clone(),
        pollers.clone(),
    );
    let (issuer, audience) = parameters::issuer_and_audience(&parameters, &endpoints.public);
    let sign_in = SignIn::new(&issuer, &audience, data.persistent())?;
    Ok(Parts {
        plan,
        local,
        endpoints,
        lambda,
        sign_in: Arc::new(sign_in),
        tables,
        queues,
        bucket,
        cache: cache?,
        pollers,
        faults,
        logs,
        monitor: Arc::new(monitor),
        _scratch: scratch,
    })
}

fn process_settings(
    options: &Options,
    deployment: &Deployment,
    listeners: &Listeners,
    guard: &Arc<Guard>,
    logs: &Arc<Logs>,
    scratch: &TempDir,
) -> ProcessSettings {
    ProcessSettings {
        runtime_api: listeners.runtime_api.address.to_string(),
        region: deployment.local.region.clone(),
        account: deployment.local.account.clone(),
        concurrency: options.concurrency.max(1),
        start_limits: options.start_limits,
        clock_skew: options.clock_skew,
        environment: environment(options, &deployment.endpoints),
        guard: Arc::clone(guard),
        logs: Arc::clone(logs),
        next_instance: Arc::new(AtomicU32::new(1)),
        temporary: scratch.path().join("tmp"),
    }
}

/// Returns the variables that the stack adds to the functions' environment.
fn environment(options: &Options, endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut environment = endpoints.environment();
    // Clients upload to the load balancer, whose address they know.
    environment.insert("UPLOAD_ENDPOINT_URL".to_owned(), endpoints.public.clone());
    environment.extend(options.environment.clone());
    // A deployed classifier has its model beside its binary; here the model is beside the template.
    let model = options.template.with_file_name("model").canonicalize();
    if let Some(model) = model
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok())
    {
        environment.insert("MODEL_DIR".to_owned(), model);
    }
    environment
}

/// Starts the cache, if the template has one.
async fn start_cache(
    plan: &Plan,
    options: &Options,
    listeners: &Listeners,
    scratch: &Path,
    guard: Arc<Guard>,
    logs: &Arc<Logs>,
) -> Result<Option<Arc<Cache>>> {
    if !plan.has_cache {
        return Ok(None);
    }
    let is_watched = options.calls == Calls::Watched;
    let proxy_port = is_watched.then(|| listeners.cache.address.port());
    let cache = Cache::start(
        scratch,
        proxy_port,
        options.cache_mb,
        guard,
        Arc::clone(logs),
    );
    cache.await.map(Some)
}

/// Opens the tables, queues and buckets, and creates missing ones.
async fn open_storage(
    plan: &Plan,
    data: &DataFolder,
    local: &LocalValues,
    queues_port: u16,
) -> Result<(TableService, QueueService, Option<BucketService>)> {
    let tables = TableService::open(data.persistent())?;
    tables.create(&plan.tables)?;
    let queues = QueueService::new(local, queues_port);
    queues.create(&plan.queues).await?;
    let bucket = match plan.buckets.as_slice() {
        [] => None,
        buckets => {
            let folder = data.path.join("bucket");
            let bucket =
                BucketService::open(&folder, buckets, queues.clone(), &local.region).await?;
            Some(bucket)
        }
    };
    Ok((tables, queues, bucket))
}

fn make_pollers(plan: &Plan, parts: &PollerParts) -> Vec<Arc<Poller>> {
    let pollers = plan.mappings.iter().filter_map(|mapping| {
        let mut queues = plan.queues.iter();
        let queue = queues.find(|queue| queue.arn == mapping.queue_arn)?;
        let poller = Poller::new(queue.clone(), mapping.clone(), parts.clone());
        Some(Arc::new(poller))
    });
    pollers.collect()
}

/// Starts serving on all listeners.
async fn start_servers(parts: &Parts, listeners: Listeners, calls: Calls) -> Result<()> {
    start_services(parts, calls, listeners.tables, listeners.queues).await?;
    if let Some(bucket) = &parts.bucket {
        let interceptor = interceptor(parts, Service::Bucket, ErrorFormat::Xml);
        bucket.serve(listeners.bucket.listener, interceptor);
    }
    if let Some(cache) = &parts.cache {
        let proxy = CacheProxy {
            cache: Arc::clone(cache),
            faults: Arc::clone(&parts.faults),
            lambda: Arc::clone(&parts.lambda),
            warned: Once::new(),
        };
        tokio::spawn(Arc::new(proxy).serve(listeners.cache.listener));
    }
    start_runtime_api(parts, listeners.runtime_api);
    let invoke_api = InvokeApi {
        lambda: Arc::clone(&parts.lambda),
        interceptor: interceptor(parts, Service::Functions, ErrorFormat::Json),
        url: parts.endpoints.url.clone(),
    };
    start_load_balancer(parts, listeners.load_balancer, invoke_api.clone());
    tokio::spawn(serve(
        listeners.functions.listener,
        || true,
        move |request, _| invoke_api.clone().serve(request),
    ));
    Ok(())
}

fn interceptor(parts: &Parts, service: Service, error_format: ErrorFormat) -> Interceptor {
    Interceptor {
        service,
        error_format,
        faults: Arc::clone(&parts.faults),
        lambda: Arc::clone(&parts.lambda),
    }
}

/// Starts serving the tables and queues.
async fn start_services(
    parts: &Parts,
    calls: Calls,
    tables: BoundListener,
    queues: BoundListener,
) -> Result<()> {
    let before_tables = match calls {
        Calls::Watched => Some(interceptor(parts, Service::Tables, ErrorFormat::Json)),
        Calls::Direct => None,
    };
    let service = parts.tables.clone();
    service.serve(tables.listener, before_tables).await?;
    let before_queues = interceptor(parts, Service::Queues, ErrorFormat::Json);
    parts.queues.serve(queues.listener, before_queues);
    Ok(())
}

/// Starts the API that the functions' processes poll for events.
fn start_runtime_api(parts: &Parts, bound: BoundListener) {
    let lambda = Arc::clone(&parts.lambda);
    tokio::spawn(serve(
        bound.listener,
        || true,
        move |request, _| lambda::handle_runtime_api(Arc::clone(&lambda), request),
    ));
}

fn start_load_balancer(parts: &Parts, bound: BoundListener, invoke_api: InvokeApi) {
    let bucket = parts.bucket.clone();
    let local_routes = LocalRoutes {
        public_url: parts.endpoints.public.clone(),
        lambda: Arc::clone(&parts.lambda),
        sign_in: Arc::clone(&parts.sign_in),
        monitor: Arc::clone(&parts.monitor),
        media: bucket.clone().zip(parts.plan.media.clone()),
    };
    let balancer = Arc::new(LoadBalancer {
        port: bound.address.port(),
        listener: parts.plan.listener.clone(),
        lambda: Arc::clone(&parts.lambda),
        monitor: Arc::clone(&parts.monitor),
        bucket: bucket.map(|bucket| {
            let interceptor = interceptor(parts, Service::Bucket, ErrorFormat::Xml);
            (bucket, interceptor)
        }),
        local_routes,
        invoke_api,
    });
    tokio::spawn(serve(
        bound.listener,
        || true,
        move |request, client| Arc::clone(&balancer).handle(request, client),
    ));
}

/// Starts the pollers, the removal of expired items, the schedules, and the measurement of memory.
fn start_background_tasks(parts: &Parts, options: &Options) {
    for poller in &parts.pollers {
        tokio::spawn(Arc::clone(poller).run(options.workers));
    }
    if options.expiry {
        tokio::spawn(parts.tables.clone().run_sweeper());
    }
    if options.schedules {
        for schedule in &parts.plan.schedules {
            let lambda = Arc::clone(&parts.lambda);
            tokio::spawn(schedules::run(
                lambda,
                parts.local.clone(),
                schedule.clone(),
            ));
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
