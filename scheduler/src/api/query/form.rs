//! A form's parameters as a tree: `A.1.Name=x` is x at A, 1, Name.

use std::collections::BTreeMap;

use thiserror::Error;

/// Parts of a parameter's name: an attribute's value in an entry of a batch has six.
const DEPTH_MAX: usize = 8;

/// Why a form is none.
#[derive(Debug, Error)]
pub(crate) enum BadForm {
    #[error("The parameter {0} is there twice, or is both a value and a structure.")]
    Twice(String),
    #[error("The name {0} of a parameter has more parts than any parameter's.")]
    Deep(String),
    #[error("The parameter {0} is a structure and must be a value.")]
    NotText(String),
    #[error("The parameter {0} must be a list: {0}.1, {0}.2 and so on.")]
    NotList(String),
    #[error("The value {value} of the parameter {name} is not a number.")]
    NotNumber { name: String, value: String },
}

/// Parameters by the first parts of their names.
#[derive(Debug, Default)]
pub(crate) struct Form(BTreeMap<String, Parameter>);

/// What a name stands for.
#[derive(Debug)]
pub(crate) enum Parameter {
    Text(String),
    Parts(Form),
}

impl Form {
    pub(super) fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Form, BadForm> {
        let mut form = Form::default();
        for (name, value) in pairs {
            form.insert(&name, value)?;
        }
        Ok(form)
    }

    fn insert(&mut self, name: &str, value: String) -> Result<(), BadForm> {
        if name.split('.').nth(DEPTH_MAX).is_some() {
            return Err(BadForm::Deep(name.to_owned()));
        }
        let twice = || BadForm::Twice(name.to_owned());
        let (path, last) =
            name.rsplit_once('.').map_or((None, name), |(path, last)| (Some(path), last));
        let mut form = self;
        for part in path.into_iter().flat_map(|path| path.split('.')) {
            let empty = || Parameter::Parts(Form::default());
            match form.0.entry(part.to_owned()).or_insert_with(empty) {
                Parameter::Parts(inner) => form = inner,
                Parameter::Text(_) => return Err(twice()),
            }
        }
        match form.0.insert(last.to_owned(), Parameter::Text(value)) {
            None => Ok(()),
            Some(_) => Err(twice()),
        }
    }

    /// Takes out a value; none where there is a structure.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name)? {
            Parameter::Text(value) => Some(value),
            Parameter::Parts(_) => None,
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl IntoIterator for Form {
    type Item = (String, Parameter);
    type IntoIter = std::collections::btree_map::IntoIter<String, Parameter>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Parameter {
    /// The value that the parameter `name` has.
    pub(crate) fn text(self, name: &str) -> Result<String, BadForm> {
        match self {
            Parameter::Text(value) => Ok(value),
            Parameter::Parts(_) => Err(BadForm::NotText(name.to_owned())),
        }
    }

    /// As a number.
    pub(crate) fn number(self, name: &str) -> Result<i64, BadForm> {
        let value = self.text(name)?;
        value.parse().map_err(|_| BadForm::NotNumber { name: name.to_owned(), value })
    }

    /// The members of a list, in the order of their numbers. A value is a list of itself, as the oldest clients have it, and
    /// nothing a list of nothing.
    pub(crate) fn list(self, name: &str) -> Result<Vec<Parameter>, BadForm> {
        let form = match self {
            Parameter::Parts(form) => form,
            Parameter::Text(value) if value.is_empty() => return Ok(Vec::new()),
            text => return Ok(vec![text]),
        };
        let mut members = Vec::new();
        for (index, member) in form {
            let index: u32 = index.parse().map_err(|_| BadForm::NotList(name.to_owned()))?;
            members.push((index, member));
        }
        members.sort_by_key(|(index, _)| *index);
        Ok(members.into_iter().map(|(_, member)| member).collect())
    }

    /// The structure that a member of the list `name` is.
    pub(crate) fn parts(self, name: &str) -> Result<Form, BadForm> {
        match self {
            Parameter::Parts(form) => Ok(form),
            Parameter::Text(_) => Err(BadForm::NotList(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Result<Form, BadForm> {
        Form::new(form_urlencoded::parse(text.as_bytes()).into_owned())
    }

    #[test]
    fn members_come_in_the_order_of_their_numbers() {
        let form = form("A.10=c&A.2=b&A.1=a%26").unwrap();
        let (name, list) = form.into_iter().next().unwrap();
        let texts: Vec<_> =
            list.list(&name).unwrap().into_iter().map(|one| one.text("A").unwrap()).collect();
        assert_eq!(texts, ["a&", "b", "c"]);
    }

    #[test]
    fn what_contradicts_itself_or_is_too_deep_is_refused() {
        for text in ["A=1&A=2", "A=1&A.1=2", "A.1=2&A=1", "A.1.B=2&A.1=3"] {
            assert!(matches!(form(text), Err(BadForm::Twice(_))), "{text}");
        }
        let deep = format!("{}=1", "A.".repeat(1 << 20));
        assert!(matches!(form(&deep), Err(BadForm::Deep(_))));
        let list = form("A.x=1").unwrap().into_iter().next().unwrap().1;
        assert!(matches!(list.list("A"), Err(BadForm::NotList(_))));
        let number = form("A=ten").unwrap().into_iter().next().unwrap().1;
        assert!(matches!(number.number("A"), Err(BadForm::NotNumber { .. })));
    }
}
