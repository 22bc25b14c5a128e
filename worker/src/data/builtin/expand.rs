//! Templates to sentences.
//!
//! In a template `{name}` is a value that the story has given a name, or else a fresh word from the list of
//! that name; `{Name}` is the same with a capital letter; `(one|other|)` is one of the alternatives, which
//! may be templates again. `a` becomes `an` where it should, and sentences begin with a capital letter.

use super::{draw::Draw, words};
use std::collections::BTreeMap;

/// What stays the same through a story: the hero's name, the thing that is lost.
pub(super) type Named = BTreeMap<&'static str, &'static str>;

/// A template as plain text.
pub(super) fn expand(template: &str, named: &Named, draw: &mut Draw) -> String {
    let mut raw = String::new();
    write(template, named, draw, &mut raw);
    capitals(&articles(&raw))
}

fn write(template: &str, named: &Named, draw: &mut Draw, out: &mut String) {
    let mut rest = template;
    while let Some(at) = rest.find(['{', '(']) {
        out.push_str(&rest[..at]);
        let inner = closing(&rest[at..]);
        let content = &rest[at + 1..at + inner];
        if rest.as_bytes()[at] == b'{' {
            word(content, named, draw, out);
        } else {
            let alternatives = alternatives(content);
            let chosen = draw.one_of(&alternatives, 2);
            write(chosen, named, draw, out);
        }
        rest = &rest[at + inner + 1..];
    }
    out.push_str(rest);
}

fn word(name: &str, named: &Named, draw: &mut Draw, out: &mut String) {
    let lower = name.to_lowercase();
    let value = match named.get(lower.as_str()) {
        Some(value) => value,
        None => draw.one_of(words::list(&lower), 1),
    };
    if lower == name { out.push_str(value) } else { out.push_str(&capital(value)) }
}

/// The place of the bracket that closes the first one.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a bracket is not closed: {text:?}")
}

fn alternatives(content: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in content.char_indices() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            '|' if depth == 0 => {
                parts.push(&content[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&content[start..]);
    parts
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `a apple` to `an apple`.
fn articles(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        out.push_str(word);
        let article = matches!(word.trim_start_matches(['"', '\n']), "a" | "A");
        if article && words.peek().is_some_and(|next| next.starts_with(['a', 'e', 'i', 'o', 'u'])) {
            out.push('n');
        }
        if words.peek().is_some() {
            out.push(' ');
        }
    }
    out
}

/// A capital letter for the first word and after every full stop.
fn capitals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    let mut before = ' ';
    for c in text.chars() {
        if begins && c.is_alphabetic() {
            out.extend(c.to_uppercase());
            begins = false;
        } else {
            out.push(c);
        }
        // `"Stop!" said Tom`: the quotation mark takes the end of the sentence back, unless it was a full stop.
        if matches!(c, '.' | '!' | '?') {
            begins = true;
        } else if c == '"' && matches!(before, '!' | '?') {
            begins = false;
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_sentences() {
        let named = Named::from([("hero", "Mia"), ("thing", "orange kite"), ("he", "she")]);
        let mut draw = Draw::new(0);
        let text = expand(
            r#"(|){hero} had a {thing}. {he} said, "where is it?" then {he} (((ran))). "a owl." {he} hid."#,
            &named,
            &mut draw,
        );
        assert_eq!(
            text,
            r#"Mia had an orange kite. She said, "where is it?" then she ran. "An owl." She hid."#
        );
    }
}
