use super::{Split, TOKENIZER, stories};
use crate::data::Tokenizer;
use crate::report::Report;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

const PINNED: [(Split, &str); 2] = [
    (Split::Train, "e1c100deedf906be94116b4074e07e358fdd252f8742e3de7fdf5c86e1b7bf4f"),
    (Split::Validation, "7d96dbcfda4124434370a412a2192f82e2d56973480483ac4eaf710134202f33"),
];

#[test]
fn the_stories_are_the_same_in_every_version() {
    for (split, pinned) in PINNED {
        let mut hash = Sha256::new();
        for story in stories(split) {
            hash.update(&story);
            hash.update([0]);
        }
        assert_eq!(hex::encode(hash.finalize()), pinned, "{split:?}");
    }
}

#[test]
fn the_stories_are_rich_enough_to_learn_from() {
    let train: Vec<String> = stories(Split::Train).collect();
    assert_eq!(train.len() as u64, Split::Train.stories());
    let characters: usize = train.iter().map(String::len).sum();
    assert!((500_000..800_000).contains(&characters), "{characters} characters");

    let mut words = BTreeMap::<String, usize>::new();
    for word in train.iter().flat_map(|story| story.split(|c: char| !c.is_alphanumeric())) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    words.remove("");
    assert!(words.len() > 600, "{} words", words.len());
    let mut counts: Vec<_> = words.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let all: usize = counts.iter().sum();
    // As in natural text, few words make half of it and most are rare.
    assert!(counts[..40].iter().sum::<usize>() * 2 > all);
    assert!(
        counts[counts.len() / 2] * 1000 < all,
        "the word in the middle occurs {} times",
        counts[counts.len() / 2]
    );

    for story in &train {
        assert!(!story.contains(['{', '}', '(', ')', '|']) && !story.contains("  "), "{story}");
        assert!(story.starts_with(char::is_uppercase) && story.ends_with(['.', '"', '!', '?']), "{story}");
    }
}

#[test]
fn validation_stories_are_not_train_stories() {
    let train: BTreeSet<String> = stories(Split::Train).collect();
    let seen = stories(Split::Validation).filter(|story| train.contains(story)).count();
    assert_eq!(seen, 0);
}

/// Trains the tokenizer that is committed as `tokenizer.json`.
fn trained() -> String {
    use tokenizers::{
        AddedToken,
        models::{
            TrainerWrapper,
            bpe::{BPE, BpeTrainer},
        },
        pre_tokenizers::byte_level::ByteLevel,
    };
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_post_processor(Some(ByteLevel::new(true, false, true)))
        .with_decoder(Some(ByteLevel::new(true, true, true)));
    let trainer = BpeTrainer::builder()
        .vocab_size(1024)
        .show_progress(false)
        .special_tokens(vec![AddedToken::from(crate::data::END_OF_TEXT, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut TrainerWrapper::from(trainer), stories(Split::Train)).unwrap();
    tokenizer.to_string(false).unwrap() + "\n"
}

/// The file is committed so that a tokenizer is there at once and stays the same whatever a later version
/// of the library would train. `LC_BLESS=1 cargo test -p worker builtin` writes it anew.
#[test]
fn the_tokenizer_is_the_one_trained_on_the_stories() {
    let trained = trained();
    if std::env::var_os("LC_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/data/builtin/tokenizer.json"), &trained)
            .unwrap();
    }
    assert!(
        trained.as_bytes() == TOKENIZER,
        "tokenizer.json does not belong to the stories; see this test's comment"
    );
}

#[test]
fn every_story_goes_through_the_tokenizer_and_back() {
    let tokenizer = Tokenizer::load("builtin", &Report::silent()).unwrap();
    assert_eq!(tokenizer.vocab_size(), 1024);
    assert_eq!(tokenizer.end_of_text(), Some(0));
    let mut used = BTreeSet::new();
    for split in [Split::Train, Split::Validation] {
        for story in stories(split) {
            let tokens = tokenizer.encode(&story).unwrap();
            assert_eq!(tokenizer.decode(&tokens).unwrap(), story);
            used.extend(tokens);
        }
    }
    assert!(!used.contains(&0), "end of text is never inserted");
    assert!(used.len() > 600, "{} tokens are used", used.len());
    let foreign = "Ein Bär, 熊 & <tabs>\t";
    assert_eq!(tokenizer.decode(&tokenizer.encode(foreign).unwrap()).unwrap(), foreign);
}
