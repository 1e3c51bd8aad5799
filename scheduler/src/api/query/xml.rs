//! Elements of an answer.

use std::borrow::Cow;

use quick_xml::escape::escape;

/// An element: text, or elements.
#[derive(Debug)]
pub(crate) struct Element {
    name: Cow<'static, str>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Elements(Vec<Element>),
}

impl Element {
    pub(crate) fn text(name: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Element {
        Element { name: name.into(), content: Content::Text(text.into()) }
    }

    pub(crate) fn of(name: impl Into<Cow<'static, str>>, elements: Vec<Element>) -> Element {
        Element { name: name.into(), content: Content::Elements(elements) }
    }

    /// As a document of a namespace.
    pub(super) fn document(&self, namespace: &str) -> String {
        let mut out = String::from("<?xml version=\"1.0\"?>");
        self.write(&format!(" xmlns=\"{namespace}\""), &mut out);
        out
    }

    fn write(&self, attributes: &str, out: &mut String) {
        out.extend(["<", &self.name, attributes, ">"]);
        match &self.content {
            // A parser reads a carriage return that is not escaped as a line feed (XML 1.0, 2.11).
            Content::Text(text) => out.push_str(&escape(text).replace('\r', "&#13;")),
            Content::Elements(elements) => elements.iter().for_each(|one| one.write("", out)),
        }
        out.extend(["</", &self.name, ">"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let inner = vec![Element::text("B", "<&>\"'\r\n é"), Element::of("C", Vec::new())];
        assert_eq!(
            Element::of("A", inner).document("urn:x"),
            "<?xml version=\"1.0\"?><A xmlns=\"urn:x\"><B>&lt;&amp;&gt;&quot;&apos;&#13;\n é</B><C></C></A>"
        );
    }
}
