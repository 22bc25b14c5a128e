//! A story: a hero, a plot, and as many of its beats as the story is long.

use super::{
    draw::Draw,
    expand::{Named, expand},
    plots::{self, Beat, Plot},
    words,
};

/// A split of the built-in stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is evaluated on; from choices of its own.
    Validation,
}

impl Split {
    /// Number of stories.
    #[must_use]
    pub const fn stories(self) -> u64 {
        match self {
            Self::Train => 3000,
            Self::Validation => 300,
        }
    }
}

/// The stories of a split, in order.
pub fn stories(split: Split) -> impl Iterator<Item = String> {
    let mut draw = Draw::new(match split {
        Split::Train => 0,
        Split::Validation => 1,
    });
    (0..split.stories()).map(move |_| story(&mut draw))
}

/// How much is told: beats up to this level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Length {
    Short = 0,
    Medium = 1,
    Long = 2,
}

fn story(draw: &mut Draw) -> String {
    let length = match draw.below(100) {
        0..62 => Length::Short,
        62..91 => Length::Medium,
        _ => Length::Long,
    };
    let plot = &plots::ALL[draw.rank(plots::ALL.len(), 3)];
    let named = cast(plot, draw);
    let mut text = String::new();
    let beats = [plots::OPENING, plot.beats, plots::ENDING];
    for (part, beats) in beats.into_iter().enumerate() {
        for (index, Beat { level, lines }) in beats.iter().enumerate() {
            // Long stories leave something out as well, each something else.
            if *level > length as u8 || (*level > 0 && draw.chance(20)) {
                continue;
            }
            if !text.is_empty() {
                let paragraph = length == Length::Long && index == 0 && part > 0;
                text.push_str(if paragraph { "\n\n" } else { " " });
            }
            text.push_str(&expand(draw.one_of(lines, 3), &named, draw));
        }
    }
    if length == Length::Long || draw.chance(50) {
        text.push(' ');
        text.push_str(&expand(draw.one_of(plot.morals, 2), &named, draw));
    }
    text
}

/// Gives names to the hero, a friend, a grown-up, and what the plot is about.
fn cast(plot: &Plot, draw: &mut Draw) -> Named {
    let mut named = Named::new();
    let girl = draw.chance(50);
    let animal = draw.chance(25);
    let names = if girl { words::GIRLS } else { words::BOYS };
    let hero = draw.one_of(if animal { words::ANIMAL_NAMES } else { names }, 1);
    let kind = if animal {
        draw.one_of(words::HERO_ANIMALS, 1)
    } else if girl {
        "girl"
    } else {
        "boy"
    };
    pronouns(&mut named, girl, ["he", "him", "his"]);
    named.extend([("hero", hero), ("kind", kind)]);

    let girl = draw.chance(50);
    let names = if girl { words::GIRLS } else { words::BOYS };
    let friend = loop {
        let friend = draw.one_of(names, 1);
        if friend != hero {
            break friend;
        }
    };
    pronouns(&mut named, girl, ["fhe", "fhim", "fhis"]);
    named.insert("friend", friend);

    let grown = draw.one_of(&["mom", "dad", "grandma", "grandpa", "aunt", "uncle"], 0);
    pronouns(&mut named, matches!(grown, "mom" | "grandma" | "aunt"), ["ghe", "ghim", "ghis"]);
    named.insert("grown", grown);

    for (name, list) in plot.about {
        named.insert(name, draw.one_of(list, 1));
    }
    named
}

fn pronouns(named: &mut Named, female: bool, [he, him, his]: [&'static str; 3]) {
    let [subject, object, possessive] = if female { ["she", "her", "her"] } else { ["he", "him", "his"] };
    named.extend([(he, subject), (him, object), (his, possessive)]);
}
