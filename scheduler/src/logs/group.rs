//! Log groups: what CloudWatch Logs calls a log, and what its directory is called here. A function's own group has the
//! function's name; any other, which functions may share, begins with what no function's name has.

/// Begins the group of a function that is told no other.
const PREFIX: &str = "/aws/lambda/";
/// Longest name: a directory's, with what marks it. CloudWatch Logs has 512.
pub(crate) const GROUP_CHARS_MAX: usize = 254;
/// Marks a group's directory, and stands for a slash in it.
const MARK: char = '%';

/// The group of a function that is told no other.
pub(crate) fn of_function(function: &str) -> String {
    format!("{PREFIX}{function}")
}

/// The directory of a group's log: a checked name. `None` for what is no group's name.
pub(crate) fn directory(group: &str) -> Option<String> {
    if let Some(function) = group.strip_prefix(PREFIX).filter(|name| is_function_name(name)) {
        return Some(function.to_owned());
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#".contains(&byte);
    let fits = (1..=GROUP_CHARS_MAX).contains(&group.len()) && group.bytes().all(is_part);
    fits.then(|| format!("{MARK}{}", group.replace('/', "%")))
}

/// The group whose log has this directory.
pub(crate) fn of_directory(name: &str) -> String {
    match name.strip_prefix(MARK) {
        Some(group) => group.replace(MARK, "/"),
        None => of_function(name),
    }
}

fn is_function_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_group_is_its_directory() {
        assert_eq!(directory(&of_function("f-1_A")).unwrap(), "f-1_A");
        assert_eq!(of_directory("f-1_A"), "/aws/lambda/f-1_A");
    }

    #[test]
    fn every_other_group_has_one_of_its_own() {
        let long = "x".repeat(GROUP_CHARS_MAX);
        let odd = [
            "f",
            "/a/b.c#d",
            "..",
            "/",
            "/aws/lambda/",
            "/aws/lambda/a/b",
            "/aws/lambda/..",
            &long,
        ];
        for group in odd {
            let name = directory(group).unwrap();
            assert!(name.starts_with('%') && !name.contains('/') && name.len() <= 255, "{name}");
            assert_eq!(of_directory(&name), group);
        }
        for none in ["", "a b", "a%b", "a\0b", "ä", &format!("{long}x")] {
            assert_eq!(directory(none), None, "{none}");
        }
    }
}
