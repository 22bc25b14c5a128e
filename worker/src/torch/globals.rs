//! The names of Python that a file may ask for, and what each of them means here.
//!
//! This list is the whole of what can happen while a file is read: nothing is looked up by name
//! anywhere else.

use super::{
    pickle::{Machine, Node, Value},
    tensor::{Storage, Tensor},
};
use safetensors::Dtype;
use std::rc::Rc;

/// Most axes of a tensor; PyTorch has the same limit.
const MOST_AXES: usize = 64;

/// The line about something that is not needed.
pub(super) fn refusal(what: &str) -> String {
    format!(
        "asks for {what}, which plain tensors do not need; nothing in it was run. Save it again as a dictionary of \
         tensors, numbers and texts, such as model.state_dict()"
    )
}

/// A name that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    Tensor,
    /// `torch._utils._rebuild_parameter`
    Parameter,
    /// `torch.FloatStorage` and the like: the type of a storage's numbers.
    Storage(Dtype),
}

impl Global {
    /// Looks a name up.
    pub(super) fn find(module: &str, name: &str) -> Result<Self, String> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter") => Self::Parameter,
            ("torch", "DoubleStorage") => Self::Storage(Dtype::F64),
            ("torch", "FloatStorage") => Self::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Self::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Dtype::BF16),
            ("torch", "LongStorage") => Self::Storage(Dtype::I64),
            ("torch", "IntStorage") => Self::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Self::Storage(Dtype::I16),
            ("torch", "CharStorage") => Self::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Self::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Self::Storage(Dtype::BOOL),
            _ => {
                return Err(refusal(&format!("`{module}.{name}`")));
            }
        })
    }

    /// What calling it with these arguments gives.
    pub(super) fn call(self, machine: &mut Machine<'_>, arguments: &[Value]) -> Result<Value, String> {
        match (self, arguments) {
            (Self::OrderedDict, []) => Ok(machine.make(Node::Dict(Vec::new()))),
            (Self::Parameter, &[tensor @ Value::Node(at), _, _])
                if matches!(machine.node(at), Node::Tensor(_)) =>
            {
                Ok(tensor)
            }
            (Self::Tensor, [storage, offset, shape, strides, _, _, rest @ ..]) => {
                // The metadata says that the numbers have to be negated or conjugated.
                if !matches!(rest, [] | [Value::None]) {
                    return Err("holds a tensor with metadata; save it again after tensor.clone()".into());
                }
                let tensor = tensor(machine, *storage, *offset, *shape, *strides)
                    .ok_or("damaged: a tensor in it is not described as one; copy it again")?;
                Ok(machine.make(Node::Tensor(tensor)))
            }
            _ => Err(format!("damaged: {self:?} with other arguments than it takes; copy it again")),
        }
    }
}

fn tensor(
    machine: &Machine<'_>,
    storage: Value,
    offset: Value,
    shape: Value,
    strides: Value,
) -> Option<Tensor> {
    let size = |value: Value| match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    };
    let sizes = |value| match machine.node_of(value)? {
        Node::Tuple(values) if values.len() <= MOST_AXES => {
            values.iter().map(|&value| size(value)).collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    let Node::Storage(storage) = machine.node_of(storage)? else { return None };
    let (offset, shape, strides) = (size(offset)?, sizes(shape)?, sizes(strides)?);
    (shape.len() == strides.len()).then(|| Tensor { storage: storage.clone(), shape, strides, offset })
}

/// The storage that a persistent id stands for: `("storage", type, key, device, numbers)`.
pub(super) fn storage(machine: &Machine<'_>, id: &[Value]) -> Option<Storage> {
    let &[kind, Value::Global(Global::Storage(dtype)), key, _, Value::Int(_)] = id else { return None };
    let text = |value| match machine.node_of(value)? {
        Node::Text(text) => Some(text),
        _ => None,
    };
    (**text(kind)? == *"storage").then_some(())?;
    Some(Storage { key: Rc::clone(text(key)?), dtype })
}
