//! Which runs: `depth=1,2 width>=256 seed=0..4 train=failed`. All terms must hold; a bare word is looked for in
//! names. What stands in double quotes is text, whatever it looks like: a comma there separates nothing.

use super::{
    Result, TableError,
    entry::Entry,
    field::{Field, Moment, Value},
    inner::Study,
};

/// A filter that was understood.
#[derive(Debug, PartialEq)]
pub(super) struct Filter(Vec<Term>);

#[derive(Debug, PartialEq)]
enum Term {
    Word(String),
    OneOf { field: Field, not: bool, operands: Vec<Operand> },
    Against { field: Field, how: How, bound: f64 },
}

#[derive(Debug, PartialEq)]
enum Operand {
    /// No value: `val_loss=`.
    Nothing,
    Number(f64),
    Range(f64, f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Filter {
    /// Reads a filter. An empty one lets everything through.
    pub fn parse(text: &str, study: &Study<'_>) -> Result<Self> {
        words(text)?.iter().map(|word| term(word, study)).collect::<Result<_>>().map(Self)
    }

    /// Whether a run fits.
    pub fn fits(&self, run: &Entry, moment: Moment) -> bool {
        self.0.iter().all(|term| term.holds(run, moment))
    }
}

/// A letter of a filter, and whether it stands in double quotes. The quotation marks themselves stay, as letters that
/// are not quoted, so that `name=""` can be told from `name=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Letter {
    is: char,
    quoted: bool,
}

/// The mark that begins and ends what is quoted; within it, two stand for one.
const QUOTE: char = '"';

impl Letter {
    const fn is_mark(self) -> bool {
        self.is == QUOTE && !self.quoted
    }
}

/// Splits at spaces outside of double quotes.
fn words(text: &str) -> Result<Vec<Vec<Letter>>> {
    let mut letters = Vec::new();
    let (mut quoted, mut rest) = (false, text.chars().peekable());
    while let Some(is) = rest.next() {
        if is == QUOTE && !(quoted && rest.next_if_eq(&QUOTE).is_some()) {
            quoted = !quoted;
            letters.push(Letter { is, quoted: false });
        } else {
            letters.push(Letter { is, quoted });
        }
    }
    if quoted {
        return Err(TableError::Query(format!("a quotation mark of {text} is not closed")));
    }
    let words = letters.split(|letter| letter.is.is_whitespace() && !letter.quoted);
    Ok(words.filter(|word| !word.is_empty()).map(<[Letter]>::to_vec).collect())
}

/// What is meant by letters: all but the marks.
fn plain(letters: &[Letter]) -> String {
    letters.iter().filter(|letter| !letter.is_mark()).map(|letter| letter.is).collect()
}

fn term(word: &[Letter], study: &Study<'_>) -> Result<Term> {
    let sign = word.iter().position(|letter| matches!(letter.is, '=' | '<' | '>' | '!'));
    let Some(at) = sign else { return Ok(Term::Word(plain(word).to_lowercase())) };
    let (name, rest) = (plain(&word[..at]), &word[at..]);
    let word = plain(word);
    if name.is_empty() {
        return Err(TableError::Query(format!("{word}: the column is missing; write for example width=64")));
    }
    let field = Field::parse(&name, study)?;
    let after = |sign: &str| {
        let fits = sign.chars().zip(rest).filter(|(wanted, letter)| *wanted == letter.is).count();
        (fits == sign.len()).then(|| &rest[fits..])
    };
    for (sign, how) in [("<=", How::AtMost), (">=", How::AtLeast), ("<", How::Less), (">", How::More)] {
        if let Some(bound) = after(sign) {
            let bound = plain(bound);
            let bound = bound.parse().map_err(|_| {
                TableError::Query(format!(
                    "{word}: {bound:?} is not a number; write for example {name}{sign}3.5"
                ))
            })?;
            return Ok(Term::Against { field, how, bound });
        }
    }
    let (not, list) = match (after("!="), after("=")) {
        (Some(list), _) => (true, list),
        (_, Some(list)) => (false, list),
        _ => {
            let detail = format!("{word}: after {name} comes one of = != < <= > >=");
            return Err(TableError::Query(detail));
        }
    };
    let operands = list.split(|letter| letter.is == ',' && !letter.quoted).map(operand).collect();
    Ok(Term::OneOf { field, not, operands })
}

fn operand(letters: &[Letter]) -> Operand {
    let text = plain(letters);
    if letters.iter().any(|letter| letter.quoted || letter.is_mark()) {
        return Operand::Text(text);
    }
    if text.is_empty() {
        return Operand::Nothing;
    }
    if let Some((low, high)) = text.split_once("..")
        && let (Ok(low), Ok(high)) = (low.parse(), high.trim_start_matches('=').parse())
    {
        return Operand::Range(low, high);
    }
    text.parse().map_or(Operand::Text(text), Operand::Number)
}

impl Term {
    fn holds(&self, run: &Entry, moment: Moment) -> bool {
        match self {
            Self::Word(word) => {
                run.identifier.to_lowercase().contains(word) || run.name.to_lowercase().contains(word)
            }
            Self::OneOf { field, not, operands } => {
                let is = |value: &Value| operands.iter().any(|operand| operand.is(value));
                field.values(run, moment).iter().any(is) != *not
            }
            Self::Against { field, how, bound } => match field.value(run, moment) {
                Value::Number(value) => match how {
                    How::Less => value < *bound,
                    How::AtMost => value <= *bound,
                    How::More => value > *bound,
                    How::AtLeast => value >= *bound,
                },
                _ => false,
            },
        }
    }
}

impl Operand {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Number(wanted), Value::Number(value)) => value == wanted,
            (Self::Range(low, high), Value::Number(value)) => (*low..=*high).contains(value),
            (Self::Number(wanted), Value::Text(text)) => text.parse() == Ok(*wanted),
            (Self::Text(wanted), Value::Text(text)) => **text == **wanted,
            (Self::Text(wanted), Value::State(state)) => state.as_str() == wanted,
            (Self::Nothing, Value::Nothing) => true,
            _ => false,
        }
    }
}

/// A term that holds for the runs with a value, as it is written in a filter.
pub(super) fn written(field: &Field, value: &Value) -> String {
    let name = field.name();
    match value {
        Value::Nothing => format!("{name}="),
        Value::Number(number) => format!("{name}={number}"),
        Value::State(state) => format!("{name}={state}"),
        Value::Text(text) if reads_as_it_is(text) => format!("{name}={text}"),
        Value::Text(text) => format!("\"{name}={}\"", text.replace(QUOTE, "\"\"")),
    }
}

/// Whether a text means itself without quotes.
fn reads_as_it_is(text: &str) -> bool {
    let letters: Vec<Letter> = text.chars().map(|is| Letter { is, quoted: false }).collect();
    let apart = |letter: &Letter| letter.is.is_whitespace() || matches!(letter.is, ',' | QUOTE);
    !letters.iter().any(apart) && matches!(operand(&letters), Operand::Text(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::entry::{Leaf, Settings};
    use proptest::prelude::*;
    use protocol::{ids::RunId, study::StudySpec};
    use std::{collections::BTreeMap, sync::Arc};

    const PATH: &str = "data.dataset";

    /// A run whose setting has a value, or none.
    fn run(id: i64, value: Option<Leaf>) -> Entry {
        let config = crate::domain::grid::expand(&StudySpec::named("s")).unwrap().remove(0);
        Entry {
            id: RunId(id),
            identifier: config.identifier().to_string().into(),
            name: "s".into(),
            data_hash: "".into(),
            layers: config.layers,
            width: config.width,
            seed: config.seed,
            epochs: config.epochs,
            weight_decay: config.weight_decay,
            decay: config.decay,
            priority: 0,
            settings: Arc::new(Settings(value.map(|leaf| (PATH.to_owned(), leaf)).into_iter().collect())),
            stages: Vec::new(),
            device_ms: 0.0,
            took_ms: 0,
            running: (0.0, 0.0),
            loss: None,
            measures: BTreeMap::new(),
        }
    }

    fn texts(texts: &[&str]) -> Vec<Entry> {
        let leaf = |(id, text): (usize, &&str)| run(id as i64, Some(Leaf::Text((*text).into())));
        texts.iter().enumerate().map(leaf).collect()
    }

    /// The positions of the runs that a filter selects.
    fn selected(filter: &str, runs: &[Entry]) -> Vec<usize> {
        let study = Study {
            runs: runs.iter().collect(),
            settings: runs.iter().map(|run| &*run.settings).collect(),
            measures: &[],
        };
        let filter = Filter::parse(filter, &study).unwrap();
        let moment = Moment { checkpoint: None, now: 0 };
        (0..runs.len()).filter(|&at| filter.fits(&runs[at], moment)).collect()
    }

    /// The filter that is written for a run's value.
    fn written_for(run: &Entry) -> String {
        let field = Field::Setting(PATH.to_owned());
        written(&field, &field.value(run, Moment { checkpoint: None, now: 0 }))
    }

    #[test]
    fn a_comma_in_quotes_separates_nothing() {
        let runs = texts(&["global,local", "global", "local", "my stories"]);
        assert_eq!(written_for(&runs[0]), "\"data.dataset=global,local\"");
        assert_eq!(selected("\"data.dataset=global,local\"", &runs), [0]);
        assert_eq!(selected("data.dataset=global,local", &runs), [1, 2]);
        assert_eq!(selected("data.dataset=\"global,local\",\"my stories\"", &runs), [0, 3]);
        assert_eq!(selected("data.dataset!=\"global,local\"", &runs), [1, 2, 3]);
    }

    #[test]
    fn what_is_quoted_is_no_number_range_or_missing_value() {
        let mut runs = texts(&["0..9", "5", "", "a\"b"]);
        runs.push(run(4, Some(Leaf::Number(5.0))));
        runs.push(run(5, None));
        assert_eq!(selected("data.dataset=0..9", &runs), [4]);
        assert_eq!(selected("data.dataset=\"0..9\"", &runs), [0]);
        assert_eq!(selected("data.dataset=\"5\"", &runs), [1]);
        assert_eq!(selected("data.dataset=\"\"", &runs), [2]);
        assert_eq!(selected("data.dataset=", &runs), [5]);
        assert_eq!(selected("data.dataset=\"a\"\"b\"", &runs), [3]);
    }

    proptest! {
        #[test]
        fn the_filter_written_for_a_run_selects_the_runs_with_its_value(
            values in proptest::collection::btree_set("[a1.,=!<>\" *\\-e\u{a0}]{0,5}", 1..8),
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let mut runs = texts(&values);
            runs.push(run(99, None));
            for (at, run) in runs.iter().enumerate() {
                let filter = written_for(run);
                prop_assert_eq!(selected(&filter, &runs), [at], "{}", filter);
            }
        }
    }
}
