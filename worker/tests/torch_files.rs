//! Files of `torch.save`: what is read, and that nothing a file asks for is run.

mod torch_save;

use std::{
    fs,
    path::{Path, PathBuf},
};
use torch_save::{Stored, file, int, state_dict, tensor, text};
use worker::{
    Error,
    torch::{Entry, File},
};

fn open(bytes: &[u8]) -> Result<File, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.bin");
    fs::write(&path, bytes).unwrap();
    File::open(&path)
}

/// The one line that refuses a file.
fn refusal(bytes: &[u8]) -> String {
    let error = open(bytes).map(drop).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error:?}");
    let line = error.to_string();
    assert!(line.contains("weights.bin: ") && !line.contains('\n'), "{line}");
    line
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/analyze/pt_example/vars@0/TS01x0032_01n@0-vars.pt")
}

const VECTOR: Stored<'static> =
    Stored { name: "x", class: "ShortStorage", key: "0", offset: 1, shape: &[2], strides: &[1] };

#[test]
fn a_file_of_pytorch_is_read() {
    let file = File::open(&golden()).unwrap();
    let keys: Vec<_> = file.entries().map(|(key, _)| key).collect();
    assert_eq!(keys, ["hash", "N_seqs", "Ns_toks", "totals"]);
    assert!(matches!(file.get("N_seqs"), Some(Entry::Int(150))));
    let Some(Entry::Text(hash)) = file.get("hash") else { panic!("no hash") };
    assert!(hash.starts_with("e48f54f0c17f42fe"), "{hash}");
    let Some(Entry::Tensor(totals)) = file.get("totals") else { panic!("no totals") };
    assert_eq!((totals.shape(), totals.dtype()), (&[512][..], safetensors::Dtype::F64));
    assert_eq!(file.bytes("totals", totals).unwrap().len(), 512 * 8);
}

#[test]
fn later_protocols_parameters_and_attributes_are_understood() {
    let storage: &[u8] = &[1, 0, 2, 0, 3, 0];
    let frame = [b"\x80\x04\x95".to_vec(), 0_u64.to_le_bytes().to_vec()].concat();
    let short = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes(), &[0x94]].concat();
    let parameter = [
        frame,
        b"}\x94(".to_vec(),
        short("p"),
        short("torch._utils"),
        short("_rebuild_parameter"),
        b"\x93(".to_vec(),
        tensor(&VECTOR),
        b"\x88ccollections\nOrderedDict\n)Rt\x94Ru.".to_vec(),
    ]
    .concat();
    for (name, program) in [("p", parameter), ("x", state_dict(&[VECTOR]))] {
        let file = open(&file(&program, &[("0", storage)])).unwrap();
        let Some(Entry::Tensor(tensor)) = file.get(name) else { panic!("no {name}") };
        assert_eq!(file.bytes(name, tensor).unwrap().as_ref(), [2, 0, 3, 0]);
    }
}

#[test]
fn a_file_that_asks_for_anything_but_tensors_is_refused_by_name() {
    let calls = |global: &str| {
        [b"\x80\x02c".as_slice(), global.as_bytes(), b"\n", &text("touch x"), b"\x85R."].concat()
    };
    for (program, named) in [
        (calls("os\nsystem"), "asks for `os.system`"),
        (calls("posix\nsystem"), "asks for `posix.system`"),
        (calls("builtins\neval"), "asks for `builtins.eval`"),
        (calls("torch\nload"), "asks for `torch.load`"),
        (calls("torch._utils\n_rebuild_sparse_tensor"), "asks for `torch._utils._rebuild_sparse_tensor`"),
        (calls("collections\nOrderedDict"), "OrderedDict with other arguments"),
        ([text("os"), text("system"), b"\x93".to_vec()].concat(), "asks for `os.system`"),
        (b"ios\nsystem\n".to_vec(), "instruction 'i'"),
        (b"}}\x81.".to_vec(), "instruction '\\u{81}'"),
        (b"\x82\x01.".to_vec(), "instruction '\\u{82}'"),
        ([text("0"), b"Q.".to_vec()].concat(), "no valid pickle"),
        ([text("0"), b"}b.".to_vec()].concat(), "no valid pickle"),
        (b"0.".to_vec(), "instruction '0'"),
        (b"]K\x01a.".to_vec(), "holds no dictionary"),
        (b"]a.".to_vec(), "no valid pickle"),
        (b"]e.".to_vec(), "no valid pickle"),
        (b"(s.".to_vec(), "no valid pickle"),
        (b"h\x07.".to_vec(), "no valid pickle"),
        (b"}(".to_vec(), "cut short"),
        (b"K\x01.".to_vec(), "holds no dictionary"),
        (b"\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.".to_vec(), "beyond 64 bits"),
    ] {
        let line = refusal(&file(&program, &[]));
        assert!(line.contains(named), "{named}: {line}");
    }
    assert!(!Path::new("x").exists());
}

#[test]
fn deep_nesting_and_cycles_cost_no_more_than_the_file_is_long() {
    let deep =
        [b"\x80\x02}".to_vec(), text("x"), b")".to_vec(), b"\x85".repeat(2_000_000), b"s.".to_vec()].concat();
    assert!(matches!(open(&file(&deep, &[])).unwrap().get("x"), Some(Entry::Other)));
    let own = [b"\x80\x02}q\x00".to_vec(), text("x"), b"h\x00s.".to_vec()].concat();
    assert!(matches!(open(&file(&own, &[])).unwrap().get("x"), Some(Entry::Other)));
}

#[test]
fn what_a_file_uses_again_and_again_costs_no_more_than_the_file_is_long() {
    // Each is put into the memo once, and fetched from there tens of thousands of times.
    let keep = |value: Vec<u8>, at: u8| [value, vec![b'q', at]].concat();
    let sizes = |count| keep([b"(".to_vec(), b"K\x01".repeat(count), b"t".to_vec()].concat(), 0);
    let long = "x".repeat(500_000);
    let storage = |key: &str| {
        [b"(".to_vec(), text("storage"), b"ctorch\nByteStorage\n".to_vec(), text(key), b"NK\x01t".to_vec()]
            .concat()
    };
    let start = |parts: &[Vec<u8>]| [b"\x80\x02]".to_vec(), parts.concat()].concat();
    let call = b"h\x02(h\x01K\x00h\x00h\x00NNtRa".repeat(30_000);
    let build = keep(b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), 2);
    let tensors = |count, key: &str| {
        let storage = keep([storage(key), b"Q".to_vec()].concat(), 1);
        // What was kept lies on a list.
        let kept = [sizes(count), b"a".to_vec(), storage, b"a".to_vec(), build.clone(), b"a".to_vec()];
        file(&[start(&kept), call.clone(), b"}.".to_vec()].concat(), &[])
    };
    assert!(refusal(&tensors(100_000, "0")).contains("a tensor in it is not described as one"));
    assert!(open(&tensors(64, &long)).is_ok());
    let ids = [start(&[keep(storage(&long), 0), b"a".to_vec()]), b"h\x00Qa".repeat(100_000), b"}.".to_vec()];
    assert!(open(&file(&ids.concat(), &[])).is_ok());

    let named = |name: &str| {
        let entries = [keep(text(name), 0), b"N".to_vec(), b"h\x00N".repeat(100_000)].concat();
        open(&file(&[b"\x80\x02}(".to_vec(), entries, b"u.".to_vec()].concat(), &[]))
    };
    assert_eq!(named(&long[..4096]).unwrap().entries().count(), 100_001);
    assert!(named(&long).err().unwrap().to_string().contains("a name of 500000 bytes in it"));
    let repeated = Stored {
        name: "x",
        class: "ShortStorage",
        key: "0",
        offset: 0,
        shape: &[1 << 30, 4],
        strides: &[0, 0],
    };
    let file = open(&file(&state_dict(&[repeated]), &[("0", &[0; 2])])).unwrap();
    let Some(Entry::Tensor(tensor)) = file.get("x") else { panic!("no tensor") };
    let line = file.bytes("x", tensor).unwrap_err().to_string();
    assert!(line.contains("tensor `x` has more numbers than its storage"), "{line}");
}

#[test]
fn other_files_are_refused_with_a_remedy() {
    let whole = fs::read(golden()).unwrap();
    assert!(refusal(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").contains("before 1.6"));
    assert!(refusal(b"version https://git-lfs").contains("not a file of torch.save"));
    assert!(refusal(b"").contains("not a file of torch.save"));
    let foreign = {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("a.txt", zip::write::SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap().into_inner()
    };
    assert!(refusal(&foreign).contains("no data.pkl in it"));
    let mut big = whole.clone();
    let at = big.windows(6).position(|window| window == b"little").unwrap();
    big[at..at + 6].copy_from_slice(b"bigger");
    assert!(refusal(&big).contains("big-endian"));
    let mut compressed = whole;
    let at = compressed.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    compressed[at + 10] = 8;
    assert!(refusal(&compressed).contains("is compressed"));
}

#[test]
fn a_changed_byte_of_numbers_or_of_the_program_is_refused() {
    let whole = fs::read(golden()).unwrap();
    let place = |text: &[u8]| whole.windows(text.len()).position(|window| window == text).unwrap();
    let mut changed = whole.clone();
    changed[place(b"e48f54f0c17f42fe")] ^= 1;
    assert!(refusal(&changed).contains("damaged: `data.pkl` in it is not what was written"));
    // Of the last storage, which is the largest.
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let file = open(&changed).unwrap();
    let Some(Entry::Tensor(totals)) = file.get("totals") else { panic!("no totals") };
    for _ in 0..2 {
        let line = file.bytes("totals", totals).unwrap_err().to_string();
        assert!(line.contains("damaged: `data/1` in it is not what was written; copy it again"), "{line}");
    }
    let Some(Entry::Tensor(counts)) = file.get("Ns_toks") else { panic!("no counts") };
    assert_eq!(file.bytes("Ns_toks", counts).unwrap().len(), 512 * 4);
}

#[test]
fn a_file_cut_short_anywhere_is_refused_in_one_line() {
    let whole = fs::read(golden()).unwrap();
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        let line = refusal(&whole[..length]);
        assert!(line.contains("copy it again"), "{length}: {line}");
    }
}

#[test]
fn no_change_of_a_byte_does_worse_than_a_refusal() {
    let storage = [0; 6];
    let program = state_dict(&[VECTOR]);
    for at in 0..program.len() {
        for byte in [0, 1, b'(', b'R', b'.', b'u', 0x7f, 0x8a, 0xff] {
            let mut changed = program.clone();
            changed[at] = byte;
            let Ok(file) = open(&file(&changed, &[("0", &storage)])) else { continue };
            for (name, entry) in file.entries() {
                if let Entry::Tensor(tensor) = entry {
                    drop(file.bytes(name, tensor));
                }
            }
        }
    }
}

#[test]
fn a_tensor_without_its_numbers_is_refused_by_name() {
    let dictionary = state_dict(&[VECTOR]);
    let read = |storages: &[(&str, &[u8])]| {
        let file = open(&file(&dictionary, storages)).unwrap();
        let Some(Entry::Tensor(tensor)) = file.get("x") else { panic!("no tensor") };
        file.bytes("x", tensor).unwrap_err().to_string()
    };
    assert!(read(&[("0", &[0; 5])]).contains("tensor `x` is larger than its storage"));
    assert!(read(&[("1", &[0; 6])]).contains("storage `0` is not in it"));
    let negated = [b"\x80\x02}".to_vec(), text("x"), tensor(&VECTOR), b"s.".to_vec()].concat();
    let end = negated.windows(3).rposition(|window| window == b"RtR").unwrap();
    let with_metadata = [&negated[..=end], &int(1), &negated[end + 1..]].concat();
    assert!(refusal(&file(&with_metadata, &[])).contains("tensor.clone()"));
}
