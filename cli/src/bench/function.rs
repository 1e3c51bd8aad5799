//! The function that is measured, as its platform knows it.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::load::Client;
use crate::failure::Failure;

const FUNCTIONS: &str = "/2015-03-31/functions";

/// A program as functions' code.
pub struct Code(String);

impl Code {
    /// The program at `path`.
    ///
    /// # Errors
    /// It can't be read.
    pub fn of(path: &Path) -> Result<Code, Failure> {
        let program = std::fs::read(path).map_err(|error| Failure::at(path, error))?;
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755))?;
        zip.write_all(&program)?;
        Ok(Code(STANDARD.encode(zip.finish()?.into_inner())))
    }

    /// Creates a function of it.
    ///
    /// # Errors
    /// What the platform says.
    pub async fn create(&self, client: &mut Client, name: &str) -> Result<(), Failure> {
        self.create_with(client, name, &[]).await
    }

    /// Creates a function of it, with variables in its environment.
    ///
    /// # Errors
    /// What the platform says.
    pub async fn create_with(
        &self,
        client: &mut Client,
        name: &str,
        variables: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        let request = json!({
            "Environment": { "Variables": variables },
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Role": "arn:aws:iam::000000000000:role/bench",
            "Handler": "bootstrap",
            "Timeout": 30,
            "Code": { "ZipFile": self.0 },
        });
        client.send(Method::POST, FUNCTIONS, request.to_string().into()).await.map(drop)
    }
}

/// Deletes a function.
///
/// # Errors
/// What the platform says.
pub async fn delete(client: &mut Client, name: &str) -> Result<(), Failure> {
    client.send(Method::DELETE, &format!("{FUNCTIONS}/{name}"), Bytes::new()).await.map(drop)
}

/// Where a function is invoked.
pub fn path(name: &str) -> String {
    format!("{FUNCTIONS}/{name}/invocations")
}
