//! PublishLayerVersion, GetLayerVersion, GetLayerVersionByArn, ListLayers, ListLayerVersions,
//! DeleteLayerVersion.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::blocking::blocking;
use super::error::ApiError;
use super::functions::{Answer, Shared, keep, location, parse_upload};
use super::name::{LayerName, number};
use super::page::{self, Page};
use super::violations::Violations;
use super::{Platform, runtimes, shapes, validate};
use crate::clock;
use crate::layer::LayerVersion;
use crate::policy::Policy;
use crate::service::Identity;

/// Longest lists and texts (the model's CompatibleRuntimes, CompatibleArchitectures, LicenseInfo).
const RUNTIMES_MAX: usize = 15;
const ARCHITECTURES_MAX: usize = 2;
const LICENSE_CHARS_MAX: usize = 512;

/// PublishLayerVersionRequest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublishLayerVersion {
    content: shapes::FunctionCode,
    #[serde(default)]
    description: String,
    license_info: Option<String>,
    #[serde(default)]
    compatible_runtimes: Vec<String>,
    #[serde(default)]
    compatible_architectures: Vec<String>,
}

/// Which layers a list is to have.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Wanted {
    compatible_runtime: Option<String>,
    compatible_architecture: Option<String>,
}

impl Wanted {
    /// Refuses a list of layers for what no layer can be for.
    fn check(&self, platform: &Platform) -> Result<(), ApiError> {
        let mut wrong = Violations::default();
        if let Some(name) = &self.compatible_runtime
            && !runtimes::is_known(name)
            && !is_own_runtime(platform, name)
        {
            wrong.add(name, "compatibleRuntime", &runtimes::must());
        }
        if let Some(name) = &self.compatible_architecture
            && !matches!(&**name, "x86_64" | "arm64")
        {
            let must = "satisfy enum value set: [x86_64, arm64]";
            wrong.add(name, "compatibleArchitecture", must);
        }
        wrong.check()
    }

    fn matches(&self, layer: &LayerVersion) -> bool {
        let has = |list: &[String], wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| list.contains(wanted))
        };
        has(&layer.runtimes, &self.compatible_runtime)
            && has(&layer.architectures, &self.compatible_architecture)
    }
}

/// Tells GetLayerVersionByArn from ListLayers, which have one path.
#[derive(Deserialize)]
pub(super) struct Find {
    find: Option<String>,
    #[serde(rename = "Arn")]
    arn: Option<String>,
}

pub(super) async fn publish(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let name = LayerName::parse_layer(&name)?;
    let request: PublishLayerVersion = parse_upload(body, "PublishLayerVersion")?;
    let published = blocking(move || {
        let layer = checked(&platform, name, &request)?;
        let zip = request.content.zip_file.as_deref().ok_or_else(validate::no_zip)?;
        let code = keep(&platform, zip)?;
        let (code_sha256, code_size) = (code.sha256, code.size);
        let layer = LayerVersion { code_sha256, code_size, ..layer };
        let layer = platform.layers.publish(layer)?;
        Ok::<_, ApiError>(with_content(&platform, &layer))
    })
    .await?;
    Ok((StatusCode::CREATED, Json(published)).into_response())
}

pub(super) async fn get(
    State(platform): Shared,
    Path((name, version)): Path<(String, String)>,
) -> Answer {
    let (name, version) = (LayerName::parse_layer(&name)?, version_number(&version)?);
    told(&platform, &name, version)
}

pub(super) async fn list(
    State(platform): Shared,
    Query(Find { find, arn }): Query<Find>,
    Query(page): Query<Page>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    if find.as_deref() == Some("LayerVersion") {
        let named = LayerName::parse_version_arn(arn.as_deref().unwrap_or_default())?;
        return told(&platform, &named.name, named.version);
    }
    wanted.check(&platform)?;
    let identity = &platform.service.identity;
    let count = page.count(page::LAYER_ITEMS)?;
    let after = page.marker.as_deref();
    let found = platform.layers.list(after, count + 1, |layer| wanted.matches(layer));
    let show = |layer: &std::sync::Arc<LayerVersion>| {
        json!({
            "LayerName": layer.name,
            "LayerArn": identity.layer_arn(&layer.name),
            "LatestMatchingVersion": item(identity, layer),
        })
    };
    Ok(page::answer("Layers", found, count, show, |layer| layer.name.clone()))
}

pub(super) async fn list_versions(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(page): Query<Page>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let name = LayerName::parse_layer(&name)?;
    wanted.check(&platform)?;
    let count = page.count(page::LAYER_ITEMS)?;
    let before = page.marker.as_deref().map(version_number).transpose()?;
    let which = |layer: &LayerVersion| wanted.matches(layer);
    let found = platform.layers.versions(&name, before, count + 1, which);
    let show = |layer: &std::sync::Arc<LayerVersion>| item(&platform.service.identity, layer);
    Ok(page::answer("LayerVersions", found, count, show, |layer| layer.version.to_string()))
}

/// Functions that have the version keep it.
pub(super) async fn delete(
    State(platform): Shared,
    Path((name, version)): Path<(String, String)>,
) -> Answer {
    let (name, version) = (LayerName::parse_layer(&name)?, version_number(&version)?);
    blocking(move || Ok(platform.layers.delete(&name, version)?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whether a runtime that AWS does not know is this platform's.
fn is_own_runtime(platform: &Platform, name: &str) -> bool {
    runtimes::is_name(name) && platform.service.prepare_runtime(name).is_ok()
}

/// Everything but the code.
fn checked(
    platform: &Platform,
    name: String,
    request: &PublishLayerVersion,
) -> Result<LayerVersion, ApiError> {
    let PublishLayerVersion { compatible_runtimes: names, license_info: license, .. } = request;
    let architectures = &request.compatible_architectures;
    let mut wrong = Violations::default();
    if !names.iter().all(|one| runtimes::is_known(one) || is_own_runtime(platform, one)) {
        let all = format!("[{}]", names.join(", "));
        wrong.add(&all, "compatibleRuntimes", &runtimes::must());
    }
    validate::architecture_names(architectures, "compatibleArchitectures", &mut wrong);
    wrong.check()?;
    if names.len() > RUNTIMES_MAX || architectures.len() > ARCHITECTURES_MAX {
        return Err(ApiError::invalid("A layer names too many runtimes or architectures."));
    }
    if let Some(text) = license.as_ref().filter(|text| text.chars().count() > LICENSE_CHARS_MAX) {
        let must = "have length less than or equal to 512";
        return Err(ApiError::constraint(text, "licenseInfo", must));
    }
    Ok(LayerVersion {
        name,
        version: 0,
        description: validate::description(request.description.clone())?,
        license: license.clone(),
        runtimes: names.clone(),
        architectures: architectures.clone(),
        created_ms: clock::unix_ms(),
        code_sha256: String::new(),
        code_size: 0,
        policy: Policy::default(),
        revision_id: String::new(),
    })
}

pub(super) fn version_number(text: &str) -> Result<u64, ApiError> {
    number(text).ok_or_else(|| ApiError::invalid("Layer Version Cannot be less than 1"))
}

fn told(platform: &Platform, name: &str, version: u64) -> Answer {
    let layer = platform.layers.get(name, version).ok_or_else(ApiError::no_resource)?;
    Ok(Json(with_content(platform, &layer)).into_response())
}

/// LayerVersionsListItem.
fn item(identity: &Identity, layer: &LayerVersion) -> Value {
    let mut value = json!({
        "LayerVersionArn": format!("{}:{}", identity.layer_arn(&layer.name), layer.version),
        "Version": layer.version,
        "Description": layer.description,
        "CreatedDate": clock::lambda_time(layer.created_ms),
        "CompatibleRuntimes": layer.runtimes,
        "CompatibleArchitectures": layer.architectures,
    });
    if let Some(license) = &layer.license {
        value["LicenseInfo"] = license.as_str().into();
    }
    value
}

/// GetLayerVersionResponse: the item, its layer and its zip.
fn with_content(platform: &Platform, layer: &LayerVersion) -> Value {
    let identity = &platform.service.identity;
    let mut value = item(identity, layer);
    value["LayerArn"] = identity.layer_arn(&layer.name).into();
    value["Content"] = json!({
        "Location": location(platform, &layer.code_sha256),
        "CodeSha256": shapes::base64_of_hex(&layer.code_sha256),
        "CodeSize": layer.code_size,
    });
    value
}
