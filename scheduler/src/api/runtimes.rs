//! AWS' names of runtimes. A platform may have others: whatever it has an image of.

/// What AWS takes for new functions, in the order in which it says so.
const SUPPORTED: [&str; 25] = [
    "nodejs20.x",
    "python3.14",
    "provided.al2023",
    "python3.12",
    "python3.13",
    "nodejs24.x",
    "nodejs22.x",
    "java25",
    "python3.10",
    "python3.11",
    "java21",
    "ruby3.3",
    "ruby3.4",
    "ruby3.2",
    "python3.8",
    "python3.9",
    "java17",
    "nodejs16.x",
    "dotnet10",
    "dotnet8",
    "java11",
    "dotnet6",
    "nodejs18.x",
    "provided.al2",
    "java8.al2",
];

/// What it no longer takes (Lambda developer guide, "Deprecated runtimes"): who has an image of one may use it here.
const DEPRECATED: [&str; 22] = [
    "dotnetcore1.0",
    "dotnetcore2.0",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "go1.x",
    "java8",
    "nodejs",
    "nodejs10.x",
    "nodejs12.x",
    "nodejs14.x",
    "nodejs4.3",
    "nodejs4.3-edge",
    "nodejs6.10",
    "nodejs8.10",
    "provided",
    "python2.7",
    "python3.6",
    "python3.7",
    "ruby2.5",
    "ruby2.7",
    "dotnet5.0",
    "dotnet7",
];

/// Of what SnapStart is there (Lambda developer guide, "Improving startup performance with Lambda SnapStart").
const SNAP_START: [&str; 9] = [
    "java11",
    "java17",
    "java21",
    "java25",
    "python3.12",
    "python3.13",
    "python3.14",
    "dotnet8",
    "dotnet10",
];

const NAME_CHARS_MAX: usize = 32;

/// Whether a runtime may be called so: the name is part of file names.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(allowed)
}

/// Whether it is AWS'.
pub(super) fn is_known(name: &str) -> bool {
    SUPPORTED.contains(&name) || is_deprecated(name)
}

pub(super) fn is_deprecated(name: &str) -> bool {
    DEPRECATED.contains(&name)
}

pub(super) fn has_snap_start(name: &str) -> bool {
    SNAP_START.contains(&name)
}

/// What a name must do, in AWS' words.
pub(super) fn must() -> String {
    format!("satisfy enum value set: [{}]", SUPPORTED.join(", "))
}
