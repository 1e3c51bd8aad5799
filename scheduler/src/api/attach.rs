//! Which layers a function has, and whether they and its code are small enough together.

use std::collections::BTreeMap;

use super::Platform;
use super::error::ApiError;
use super::name::LayerName;
use crate::bundle::UNPACKED_BYTES_MAX;
use crate::layer::LayerUse;

/// Layers of a function (Lambda quotas).
const LAYERS_MAX: usize = 5;

/// The versions of layers that these ARNs name, in their order.
///
/// # Errors
/// InvalidParameterValueException: too many, no such version, or a layer twice.
pub(super) fn layers(platform: &Platform, arns: &[String]) -> Result<Vec<LayerUse>, ApiError> {
    if arns.len() > LAYERS_MAX {
        return Err(ApiError::invalid(format!("Cannot reference more than {LAYERS_MAX} layers.")));
    }
    let mut names: BTreeMap<String, &String> = BTreeMap::new();
    let mut found = Vec::new();
    let region = &platform.service.identity.region;
    for (arn, named) in arns.iter().zip(LayerName::parse_version_arns(arns)?) {
        if named.region != *region {
            return Err(ApiError::invalid(format!(
                "Layers are not in the same region as the function. Layers are expected to be in region {region}."
            )));
        }
        let layer = platform.layers.get(&named.name, named.version);
        let layer = layer
            .ok_or_else(|| ApiError::invalid(format!("Layer version {arn} does not exist.")))?;
        if let Some(other) = names.insert(named.name, arn) {
            return Err(ApiError::invalid(format!(
                "Two different versions of the same layer are not allowed to be referenced in the same \
                 function. {other} and {arn} are versions of the same layer."
            )));
        }
        let (code_sha256, code_size) = (layer.code_sha256.clone(), layer.code_size);
        let arn = platform.service.identity.layer_arn(&layer.name);
        found.push(LayerUse { arn: format!("{arn}:{}", layer.version), code_sha256, code_size });
    }
    Ok(found)
}

/// Refuses code that is too large together with its layers. Looks at each file.
///
/// # Errors
/// InvalidParameterValueException, or what the file system says.
pub(super) fn fits(
    platform: &Platform,
    code_sha256: &str,
    layers: &[LayerUse],
) -> Result<(), ApiError> {
    if layers.is_empty() {
        // The code alone was looked at when it was unpacked.
        return Ok(());
    }
    let parts = layers.iter().map(|layer| &*layer.code_sha256).chain([code_sha256]);
    let sizes = parts.map(|sha256| platform.code.unpacked_bytes(sha256));
    let bytes = sizes.sum::<std::io::Result<u64>>();
    let bytes = bytes.map_err(|error| ApiError::service(error.to_string()))?;
    if bytes > UNPACKED_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "Function code combined with layers exceeds the maximum allowed size of \
             {UNPACKED_BYTES_MAX} bytes. The actual size is {bytes} bytes."
        )));
    }
    Ok(())
}
