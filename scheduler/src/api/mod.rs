//! Lambda's REST API (rest-json, version 2015-03-31; shapes, limits and errors as in botocore's model of
//! the service), and on the same address CloudWatch Logs', SQS' and STS', which name their calls elsewhere than in the path, and EventBridge Scheduler's.
//!
//! | | | |
//! | --- | --- | --- |
//! | POST | /2015-03-31/functions | CreateFunction |
//! | GET | /2015-03-31/functions | ListFunctions |
//! | GET | /2015-03-31/functions/F | GetFunction |
//! | GET | /2015-03-31/functions/F/configuration | GetFunctionConfiguration |
//! | PUT | /2015-03-31/functions/F/code | UpdateFunctionCode |
//! | PUT | /2015-03-31/functions/F/configuration | UpdateFunctionConfiguration |
//! | DELETE | /2015-03-31/functions/F | DeleteFunction |
//! | POST | /2015-03-31/functions/F/invocations | Invoke |
//! | POST | /2014-11-13/functions/F/invoke-async | InvokeAsync |
//! | POST | /2021-11-15/functions/F/response-streaming-invocations | InvokeWithResponseStream |
//! | POST, GET | /2015-03-31/functions/F/versions | PublishVersion, ListVersionsByFunction |
//! | POST, GET | /2015-03-31/functions/F/aliases | CreateAlias, ListAliases |
//! | GET, PUT, DELETE | /2015-03-31/functions/F/aliases/A | GetAlias, UpdateAlias, DeleteAlias |
//! | PUT, DELETE | /2017-10-31/functions/F/concurrency | PutFunctionConcurrency, DeleteFunctionConcurrency |
//! | GET | /2019-09-30/functions/F/concurrency | GetFunctionConcurrency |
//! | POST, GET | /2015-03-31/functions/F/policy | AddPermission, GetPolicy |
//! | DELETE | /2015-03-31/functions/F/policy/S | RemovePermission |
//! | PUT, GET, DELETE | /2019-09-30/functions/F/provisioned-concurrency | Put-, Get-, DeleteProvisionedConcurrencyConfig; with ?List=ALL ListProvisionedConcurrencyConfigs |
//! | POST, GET | /2015-03-31/event-source-mappings | CreateEventSourceMapping, ListEventSourceMappings |
//! | GET, PUT, DELETE | /2015-03-31/event-source-mappings/ID | GetEventSourceMapping, Update…, Delete… |
//! | PUT, GET, POST, DELETE | /2019-09-25/functions/F/event-invoke-config | Put-, Get-, Update-, DeleteFunctionEventInvokeConfig |
//! | GET | /2019-09-25/functions/F/event-invoke-config/list | ListFunctionEventInvokeConfigs |
//! | GET, POST, DELETE | /2017-03-31/tags/ARN | ListTags, TagResource, UntagResource |
//! | GET | /2016-08-19/account-settings | GetAccountSettings |
//! | POST, GET | /2018-10-31/layers/L/versions | PublishLayerVersion, ListLayerVersions |
//! | GET, DELETE | /2018-10-31/layers/L/versions/N | GetLayerVersion, DeleteLayerVersion |
//! | POST, GET | /2018-10-31/layers/L/versions/N/policy | AddLayerVersionPermission, GetLayerVersionPolicy |
//! | DELETE | /2018-10-31/layers/L/versions/N/policy/S | RemoveLayerVersionPermission |
//! | GET | /2018-10-31/layers | ListLayers; with ?find=LayerVersion GetLayerVersionByArn |
//! | POST, GET, PUT, DELETE | /2021-10-31/functions/F/url | Create-, Get-, Update-, DeleteFunctionUrlConfig |
//! | GET | /2021-10-31/functions/F/urls | ListFunctionUrlConfigs |
//! | GET, PUT | /2021-07-20/functions/F/runtime-management-config | GetRuntimeManagementConfig, Put… |
//! | GET, PUT | /2024-08-31/functions/F/recursion-config | GetFunctionRecursionConfig, Put… |
//! | GET, PUT, DELETE | /2020-06-30/functions/F/code-signing-config | Get-, Put-, DeleteFunctionCodeSigningConfig |
//! | any | /schedules…, /schedule-groups…, /tags/ARN | EventBridge Scheduler's: see [`schedules`] |
//! | GET | /code/SHA256 | the upload, where GetFunction's Code.Location points |
//! | GET | /mayfly/environments | Mayfly's own: what is alive, and when what happened in its start |
//! | GET, POST | /mayfly/queues… | Mayfly's own: what is queued |
//! | GET | /mayfly/functions/F/history | Mayfly's own: every configuration that it has had |
//! | POST | / | X-Amz-Target: Logs_20140328.CALL: see [`logs`]; AmazonSQS.CALL: see [`sqs`] |
//! | GET, POST | /, /ACCOUNT/QUEUE | Action=CALL: SQS' older protocol and STS', see [`query`] |
//!
//! Requests to function URLs, told apart by their host or their path, are answered before all of these: see
//! [`urls`].
//!
//! Signatures are taken unchecked, which is why the service listens on loopback only.

mod aliases;
mod attach;
mod blocking;
mod code_signing;
mod concurrency;
mod dead_letter;
mod error;
mod event;
mod event_config;
mod event_stream;
mod find;
mod functions;
mod history;
mod invoke;
mod invoke_streaming;
mod layer_permissions;
mod layers;
mod logging;
mod logs;
mod mappings;
mod name;
mod page;
mod permissions;
mod provisioned;
mod query;
mod queues;
mod recursion;
mod runtime_management;
mod runtimes;
mod schedules;
mod shapes;
mod sqs;
mod statement;
mod sts;
mod tags;
mod targets;
mod updates;
mod urls;
mod validate;
mod versions;
mod violations;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use uuid::Uuid;

use crate::function::UrlForm;
use crate::launcher::GuestStream;
use crate::logs::Logs;
use crate::poller::Pollers;
use crate::schedules::Schedules;
use crate::service::Service;
use crate::sources::Sources;
use crate::sqs::Queues;
use crate::store::{CodeStore, FunctionStore, LayerStore};
use error::ApiError;
pub(crate) use provisioned::apply as provision;
pub(crate) use urls::Told;

/// Largest request body: a zip of 50 MB in base64, and its configuration (as AWS says in refusing a larger one).
const BODY_BYTES_MAX: usize = 70_167_211;

/// What the handlers share.
pub(crate) struct Platform {
    pub(crate) functions: Arc<FunctionStore>,
    pub(crate) layers: LayerStore,
    pub(crate) code: Arc<CodeStore>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) service: Arc<Service>,
    pub(crate) pollers: Arc<Pollers>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) schedules: Arc<Schedules>,
    /// Function URLs that refuse everybody.
    pub(crate) told: Told,
    /// Where it listens: part of the locations that it tells.
    pub(crate) address: SocketAddr,
    /// How it tells those of function URLs.
    pub(crate) url_form: UrlForm,
}

/// The id of a request, which its answer and its logs carry.
#[derive(Clone)]
struct RequestId(String);

/// The whole API.
pub(crate) fn router(platform: Arc<Platform>) -> Router {
    let functions = get(functions::list).post(functions::create);
    let function = get(functions::get).delete(functions::delete);
    let configuration = get(functions::get_configuration).put(updates::configuration);
    let invocations = post(invoke::invoke).layer(DefaultBodyLimit::max(invoke::PAYLOAD_BYTES_MAX));
    let invoke_async =
        post(invoke::invoke_async).layer(DefaultBodyLimit::max(invoke::PAYLOAD_BYTES_MAX));
    let streaming_invocations =
        post(invoke_streaming::invoke).layer(DefaultBodyLimit::max(invoke::PAYLOAD_BYTES_MAX));
    let versions = get(versions::list).post(versions::create);
    let alias = get(aliases::get).put(aliases::update).delete(aliases::delete);
    let concurrency = put(concurrency::put).delete(concurrency::delete);
    let event_config = get(event_config::get)
        .put(event_config::put)
        .post(event_config::update)
        .delete(event_config::delete);
    let mappings = get(mappings::list).post(mappings::create);
    let mapping = get(mappings::get).put(mappings::update).delete(mappings::delete);
    let named = get(targets::call)
        .post(targets::call)
        .layer(DefaultBodyLimit::max(targets::BODY_BYTES_MAX));
    let layer_versions = get(layers::list_versions).post(layers::publish);
    let layer_version = get(layers::get).delete(layers::delete);
    let policy = get(permissions::get).post(permissions::add);
    let provisioned = get(provisioned::get).put(provisioned::put).delete(provisioned::delete);
    let runtime_management = get(runtime_management::get).put(runtime_management::put);
    let recursion = get(recursion::get).put(recursion::put);
    let url = get(urls::get).post(urls::create).put(urls::update).delete(urls::delete);
    let signing = get(code_signing::get).delete(code_signing::delete).put(code_signing::put);
    let layer_policy = get(layer_permissions::get).post(layer_permissions::add);
    let layer_statement = delete(layer_permissions::remove);
    Router::new()
        .route("/2015-03-31/functions", functions.clone())
        .route("/2015-03-31/functions/", functions)
        .route("/2015-03-31/functions/{name}", function)
        .route("/2015-03-31/functions/{name}/configuration", configuration)
        .route("/2015-03-31/functions/{name}/code", put(updates::code))
        .route("/2015-03-31/functions/{name}/invocations", invocations)
        .route("/2014-11-13/functions/{name}/invoke-async", invoke_async.clone())
        .route("/2014-11-13/functions/{name}/invoke-async/", invoke_async)
        .route("/2021-11-15/functions/{name}/response-streaming-invocations", streaming_invocations)
        .route("/2015-03-31/functions/{name}/versions", versions)
        .route("/2015-03-31/functions/{name}/aliases", get(aliases::list).post(aliases::create))
        .route("/2015-03-31/functions/{name}/aliases/{alias}", alias)
        .route("/2015-03-31/functions/{name}/policy", policy)
        .route("/2015-03-31/functions/{name}/policy/{sid}", delete(permissions::remove))
        .route("/2017-10-31/functions/{name}/concurrency", concurrency)
        .route("/2019-09-30/functions/{name}/concurrency", get(concurrency::get))
        .route("/2019-09-30/functions/{name}/provisioned-concurrency", provisioned)
        .route("/2015-03-31/event-source-mappings", mappings.clone())
        .route("/2015-03-31/event-source-mappings/", mappings)
        .route("/2015-03-31/event-source-mappings/{id}", mapping)
        .route("/2019-09-25/functions/{name}/event-invoke-config", event_config)
        .route("/2019-09-25/functions/{name}/event-invoke-config/list", get(event_config::list))
        .route("/2017-03-31/tags/{arn}", get(tags::list).post(tags::tag).delete(tags::untag))
        .route("/2016-08-19/account-settings", get(concurrency::account))
        .route("/2016-08-19/account-settings/", get(concurrency::account))
        .route("/2018-10-31/layers", get(layers::list))
        .route("/2018-10-31/layers/{name}/versions", layer_versions)
        .route("/2018-10-31/layers/{name}/versions/{version}", layer_version)
        .route("/2018-10-31/layers/{name}/versions/{version}/policy", layer_policy)
        .route("/2018-10-31/layers/{name}/versions/{version}/policy/{sid}", layer_statement)
        .route("/2021-10-31/functions/{name}/url", url)
        .route("/2021-10-31/functions/{name}/urls", get(urls::list))
        .route("/2021-07-20/functions/{name}/runtime-management-config", runtime_management)
        .route("/2024-08-31/functions/{name}/recursion-config", recursion)
        .route("/2020-06-30/functions/{name}/code-signing-config", signing)
        .route("/mayfly/functions/{name}/history", get(history::list))
        .route("/mayfly/environments", get(environments))
        .route("/mayfly/queues", get(queues::list))
        .route("/mayfly/queues/messages", get(queues::peek))
        .route("/mayfly/queues/redrive", post(queues::redrive))
        .route("/mayfly/queues/purge", post(queues::purge))
        .merge(schedules::router())
        .route("/", named.clone())
        .route("/{account}/{queue}", named)
        .route("/code/{sha256}", get(functions::download))
        .fallback(unknown_operation)
        .method_not_allowed_fallback(unknown_operation)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(number))
        // Outermost: what a function answers is not touched.
        .layer(from_fn_with_state(Arc::clone(&platform), urls::intercept))
        .with_state(platform)
}

/// Serves the API on one connection from inside an environment, until its program closes it or breaks the
/// protocol.
pub(crate) async fn serve_stream(stream: GuestStream, platform: Arc<Platform>) {
    let service = TowerToHyperService::new(router(platform));
    // An error is the program's, and ends this connection alone.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The environments that are alive, and the pool. Moments are CLOCK_MONOTONIC of the host, ns, and null where one has not come.
async fn environments(State(platform): State<Arc<Platform>>) -> Json<Value> {
    Json(platform.service.environments())
}

/// Answers what is not in the API. The body is read, so that the connection can go on.
async fn unknown_operation(_body: Result<Bytes, BytesRejection>) -> ApiError {
    ApiError::unknown_operation()
}

/// Gives each request its id, and what the router itself refuses the form of an error.
async fn number(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    let value = HeaderValue::from_str(&id);
    request.extensions_mut().insert(RequestId(id));
    let mut response = ApiError::in_place_of(next.run(request).await);
    if let Ok(value) = value {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), value);
    }
    response
}

type Id = Extension<RequestId>;

#[cfg(test)]
mod tests;
