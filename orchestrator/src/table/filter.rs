//! Which runs: `depth=1,2 width>=256 seed=0..4 train=failed`. All terms must hold; a bare word is looked for in
//! names.

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

/// Splits at spaces outside of double quotes.
fn words(text: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for letter in text.chars() {
        match letter {
            '"' => (quoted, any) = (!quoted, true),
            letter if letter.is_whitespace() && !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            letter => word.push(letter),
        }
    }
    if quoted {
        return Err(TableError::Query(format!("a quotation mark of {text} is not closed")));
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

fn term(word: &str, study: &Study<'_>) -> Result<Term> {
    let Some(at) = word.find(['=', '<', '>', '!']) else { return Ok(Term::Word(word.to_lowercase())) };
    let (name, rest) = word.split_at(at);
    if name.is_empty() {
        return Err(TableError::Query(format!("{word}: the column is missing; write for example width=64")));
    }
    let field = Field::parse(name, study)?;
    for (sign, how) in [("<=", How::AtMost), (">=", How::AtLeast), ("<", How::Less), (">", How::More)] {
        if let Some(bound) = rest.strip_prefix(sign) {
            let bound = bound.parse().map_err(|_| {
                TableError::Query(format!(
                    "{word}: {bound:?} is not a number; write for example {name}{sign}3.5"
                ))
            })?;
            return Ok(Term::Against { field, how, bound });
        }
    }
    let (not, list) = match (rest.strip_prefix("!="), rest.strip_prefix('=')) {
        (Some(list), _) => (true, list),
        (_, Some(list)) => (false, list),
        _ => {
            let detail = format!("{word}: after {name} comes one of = != < <= > >=");
            return Err(TableError::Query(detail));
        }
    };
    Ok(Term::OneOf { field, not, operands: list.split(',').map(operand).collect() })
}

fn operand(text: &str) -> Operand {
    if let Some((low, high)) = text.split_once("..")
        && let (Ok(low), Ok(high)) = (low.parse(), high.trim_start_matches('=').parse())
    {
        return Operand::Range(low, high);
    }
    text.parse().map_or_else(|_| Operand::Text(text.to_owned()), Operand::Number)
}

impl Term {
    fn holds(&self, run: &Entry, moment: Moment) -> bool {
        match self {
            Self::Word(word) => {
                run.identifier.to_lowercase().contains(word) || run.name.to_lowercase().contains(word)
            }
            Self::OneOf { field, not, operands } => {
                let value = field.value(run, moment);
                operands.iter().any(|operand| operand.is(&value)) != *not
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
            // `val_loss=` asks for runs without one.
            (Self::Text(wanted), Value::Nothing) => wanted.is_empty(),
            _ => false,
        }
    }
}

/// A term that holds for the runs with a value, as it is written in a filter.
pub(super) fn written(field: &Field, value: &Value) -> String {
    let value = match value {
        Value::Nothing => String::new(),
        Value::Number(number) => number.to_string(),
        Value::State(state) => state.as_str().to_owned(),
        Value::Text(text) if text.contains([' ', ',']) => return format!("\"{}={text}\"", field.name()),
        Value::Text(text) => text.to_string(),
    };
    format!("{}={value}", field.name())
}
