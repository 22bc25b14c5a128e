//! The part of Python's pickle format that dictionaries of tensors need.
//!
//! A pickle is a program for a stack machine. This machine builds numbers, texts, tuples, lists,
//! dictionaries, and through [`Global`] storages and tensors; every other instruction is refused. Values
//! live in one list and refer to each other by index, so that neither cycles nor deep nesting, which a
//! file could be made of on purpose, cost more than the file's length.
//!
//! Instructions: Python's `Lib/pickletools.py`. PyTorch writes protocol 2; those of protocol 4 and 5 are
//! understood as well, as `torch.save` can be told to use them.

use super::{
    globals::{self, Global},
    tensor::{Storage, Tensor},
};
use std::{collections::HashMap, rc::Rc};

/// A value, as it lies on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    None,
    Bool,
    Float,
    Int(i64),
    Global(Global),
    /// Index of what is too large for the stack.
    Node(usize),
}

/// What is too large for the stack. Texts and tuples are shared with what is made of them, as a file may use one as often
/// as it has bytes.
#[derive(Debug)]
pub(super) enum Node {
    Text(Rc<str>),
    Tuple(Rc<[Value]>),
    List,
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(Tensor),
}

/// A pickle that was read.
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: Value,
}

impl Pickle {
    /// A node by its index.
    pub(super) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }

    /// The entries of the outermost value, if it is a dictionary.
    pub(super) fn root_entries(&self) -> Option<&[(Value, Value)]> {
        match self.root {
            Value::Node(at) => match &self.nodes[at] {
                Node::Dict(entries) => Some(entries),
                _ => None,
            },
            _ => None,
        }
    }

    /// The text that a value is.
    pub(super) fn text(&self, value: Value) -> Option<&str> {
        match value {
            Value::Node(at) => match &self.nodes[at] {
                Node::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The machine at work.
pub(super) struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    /// Heights of the stack that were marked.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    nodes: Vec<Node>,
}

const CUT_SHORT: &str = "damaged or cut short (its data.pkl ends too early); copy it again";
const MALFORMED: &str = "damaged (its data.pkl is no valid pickle); copy it again";

type Step<T> = Result<T, String>;

/// Reads a pickle.
pub(super) fn read(program: &[u8]) -> Step<Pickle> {
    let mut machine =
        Machine { rest: program, stack: vec![], marks: vec![], memo: HashMap::new(), nodes: vec![] };
    loop {
        let [instruction] = machine.take()?;
        if instruction == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle { nodes: machine.nodes, root });
        }
        machine.step(instruction)?;
    }
}

impl<'a> Machine<'a> {
    /// Keeps a node; gives the value that stands for it.
    pub(super) fn make(&mut self, node: Node) -> Value {
        self.nodes.push(node);
        Value::Node(self.nodes.len() - 1)
    }

    /// A node by its index.
    pub(super) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }

    /// The node that a value stands for.
    pub(super) fn node_of(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(at) => Some(&self.nodes[at]),
            _ => None,
        }
    }

    fn step(&mut self, instruction: u8) -> Step<()> {
        match instruction {
            // PROTO, FRAME: nothing depends on them.
            0x80 => drop(self.take::<1>()?),
            0x95 => drop(self.take::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Bool),
            b'G' => {
                self.take::<8>()?;
                self.stack.push(Value::Float);
            }
            b'K' | b'M' | b'J' | 0x8a => {
                let number = self.integer(instruction)?;
                self.stack.push(Value::Int(number));
            }
            b'X' | 0x8c | 0x8d => {
                let length = match instruction {
                    b'X' => u32::from_le_bytes(self.take()?).into(),
                    0x8c => u64::from(self.take::<1>()?[0]),
                    _ => u64::from_le_bytes(self.take()?),
                };
                let text = self.text(length)?;
                self.put(Node::Text(text.into()));
            }
            b']' => self.put(Node::List),
            b'}' => self.put(Node::Dict(Vec::new())),
            b')' => self.put(Node::Tuple(Rc::default())),
            0x85..=0x87 => {
                let start = self.height_below(usize::from(instruction - 0x84))?;
                let values = self.stack.split_off(start);
                self.put(Node::Tuple(values.into()));
            }
            b't' => {
                let values = self.marked()?;
                self.put(Node::Tuple(values.into()));
            }
            // APPEND, APPENDS: what a list holds is never asked for.
            b'a' => drop(self.pop()?),
            b'e' => drop(self.marked()?),
            b's' => {
                let start = self.height_below(2)?;
                let values = self.stack.split_off(start);
                self.set_items(&values)?;
            }
            b'u' => {
                let values = self.marked()?;
                self.set_items(&values)?;
            }
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(instruction)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Global(Global::find(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(Node::Text(module)), Some(Node::Text(name))) =
                    (self.node_of(module), self.node_of(name))
                else {
                    return Err(MALFORMED.into());
                };
                let found = Global::find(module, name)?;
                self.stack.push(Value::Global(found));
            }
            b'Q' => {
                let id = self.pop_tuple()?;
                let storage = globals::storage(self, &id).ok_or(MALFORMED)?;
                self.put(Node::Storage(storage));
            }
            b'R' => {
                let arguments = self.pop_tuple()?;
                let Value::Global(global) = self.pop()? else { return Err(MALFORMED.into()) };
                let value = global.call(self, &arguments)?;
                self.stack.push(value);
            }
            b'b' => self.build()?,
            other => {
                return Err(globals::refusal(&format!("pickle instruction {:?}", char::from(other))));
            }
        }
        Ok(())
    }

    /// A state dictionary carries attributes of its modules (`_metadata`), which no tensor depends on.
    fn build(&mut self) -> Step<()> {
        self.pop()?;
        let object = *self.stack.last().ok_or(MALFORMED)?;
        match self.node_of(object) {
            Some(Node::Dict(_)) => Ok(()),
            _ => Err(MALFORMED.into()),
        }
    }

    fn remember(&mut self, instruction: u8) -> Step<()> {
        let index = match instruction {
            b'q' | b'h' => self.take::<1>()?[0].into(),
            b'r' | b'j' => u32::from_le_bytes(self.take()?),
            _ => u32::try_from(self.memo.len()).map_err(|_| MALFORMED)?,
        };
        if matches!(instruction, b'h' | b'j') {
            self.stack.push(*self.memo.get(&index).ok_or(MALFORMED)?);
        } else {
            self.memo.insert(index, *self.stack.last().ok_or(MALFORMED)?);
        }
        Ok(())
    }

    fn set_items(&mut self, values: &[Value]) -> Step<()> {
        let Some(&Value::Node(at)) = self.stack.last() else { return Err(MALFORMED.into()) };
        let (pairs, rest) = values.as_chunks::<2>();
        match &mut self.nodes[at] {
            Node::Dict(entries) if rest.is_empty() => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(MALFORMED.into()),
        }
    }

    fn integer(&mut self, instruction: u8) -> Step<i64> {
        Ok(match instruction {
            b'K' => self.take::<1>()?[0].into(),
            b'M' => u16::from_le_bytes(self.take()?).into(),
            b'J' => i32::from_le_bytes(self.take()?).into(),
            _ => {
                let length = usize::from(self.take::<1>()?[0]);
                let bytes = self.bytes(length)?;
                let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
                let mut whole = [if negative { 0xff } else { 0 }; 8];
                whole.get_mut(..length).ok_or("holds a number beyond 64 bits")?.copy_from_slice(bytes);
                i64::from_le_bytes(whole)
            }
        })
    }

    fn put(&mut self, node: Node) {
        let value = self.make(node);
        self.stack.push(value);
    }

    fn pop(&mut self) -> Step<Value> {
        self.height_below(1)?;
        self.stack.pop().ok_or_else(|| MALFORMED.into())
    }

    fn pop_tuple(&mut self) -> Step<Rc<[Value]>> {
        let value = self.pop()?;
        match self.node_of(value) {
            Some(Node::Tuple(values)) => Ok(Rc::clone(values)),
            _ => Err(MALFORMED.into()),
        }
    }

    /// Everything above the last mark.
    fn marked(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or(MALFORMED)?;
        Ok(self.stack.split_off(mark))
    }

    /// The height of the stack below its topmost `count` values, none of which may lie under a mark.
    fn height_below(&self, count: usize) -> Step<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.len().checked_sub(count).filter(|&height| height >= floor).ok_or_else(|| MALFORMED.into())
    }

    fn bytes(&mut self, length: usize) -> Step<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn text(&mut self, length: u64) -> Step<&'a str> {
        let bytes = self.bytes(usize::try_from(length).map_err(|_| CUT_SHORT)?)?;
        std::str::from_utf8(bytes).map_err(|_| MALFORMED.into())
    }

    fn line(&mut self) -> Step<&'a str> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or(CUT_SHORT)?;
        let line = self.bytes(end)?;
        self.take::<1>()?;
        std::str::from_utf8(line).map_err(|_| MALFORMED.into())
    }
}
