//! Learning, building, giving.

use super::{Plot, always, often, seldom};
use crate::data::builtin::words::TOYS;

pub(super) const LEARNING: Plot = Plot {
    about: &[(
        "skill",
        &[
            "ride a bike",
            "swim",
            "whistle",
            "bake bread",
            "read",
            "tie a knot",
            "skate",
            "play the drum",
            "fly a kite",
            "juggle",
            "knit",
            "row a boat",
        ],
    )],
    beats: &[
        always(&[
            "{he} wanted to learn to {skill}.",
            "{day}, {he} tried to {skill}, but {he} could not.",
            "{day}, {hero} saw {friend} {skill} and wanted to do it too.",
            "more than anything {he} wanted to {skill}.",
        ]),
        always(&[
            "it was hard, and {he} was {sad}.",
            "at first it did not work.",
            "{he} tried again and again, but it was too hard.",
            "\"I can't do it!\" {he} said and stamped {his} foot.",
        ]),
        often(&[
            "\"Do not give up,\" said {his} {grown}.",
            "{friend} showed {him} how to do it {softly}.",
            "\"I could not do it at first either,\" said {his} {grown}.",
        ]),
        seldom(&[
            "every morning {hero} went to the {place} to practice.",
            "{he} fell down, but {he} got up again.",
            "after a week it was a little better, and after two weeks it was almost good.",
        ]),
        always(&[
            "{he} practiced every day, and at last {he} could {skill}.",
            "then, {day}, {he} could do it!",
            "in the end {hero} could {skill} better than {friend}.",
            "\"Look, I can {skill}!\" {he} called.",
        ]),
    ],
    morals: &[
        "{hero} learned not to give up.",
        "{he} was {glad}, because {he} had worked hard.",
        "{he} knew now that good things take time.",
        "now {hero} teaches others to {skill}.",
    ],
};

pub(super) const BUILDING: Plot = Plot {
    about: &[(
        "work",
        &[
            "tower",
            "castle",
            "boat",
            "house",
            "bridge",
            "snowman",
            "tent",
            "nest",
            "wagon",
            "tree house",
            "dam",
        ],
    )],
    beats: &[
        always(&[
            "{day}, {hero} wanted to build a {size} {work}.",
            "{day}, {he} and {friend} began to build a {work} near the {place}.",
            "{day}, {he} built a {work} out of (wood|stones|sand|boxes|blocks|leaves|snow|mud).",
        ]),
        always(&[
            "but the wind was strong, and the {work} fell down.",
            "but it was too heavy for {him}.",
            "then a {animal} ran into it, and it broke.",
            "when it was almost done, it fell apart.",
        ]),
        often(&[
            "{hero} was {sad} and wanted to stop.",
            "\"Oh no!\" said {friend}. \"What do we do now?\"",
            "\"We need {size} stones,\" said {hero}.",
        ]),
        seldom(&[
            "{his} {grown} said, \"Start with a strong floor.\"",
            "they carried stones from the {place} and put them in a row.",
        ]),
        always(&[
            "they worked together, and the new {work} was strong.",
            "{friend} helped {him}, and this time it stood.",
            "{he} tried again, and now the {work} was even better.",
            "so {he} asked for help, and soon the {work} was done.",
        ]),
    ],
    morals: &[
        "together it was easy.",
        "{hero} learned that working together is better.",
        "the {work} is still there today.",
    ],
};

pub(super) const PRESENT: Plot = Plot {
    about: &[
        ("gift", TOYS),
        ("craft", &["card", "cake", "picture", "song", "necklace", "basket", "poem", "crown"]),
    ],
    beats: &[
        always(&[
            "it was {his} {grown}'s birthday, and {hero} had no present.",
            "{day}, {he} wanted to give {friend} a present.",
            "{day}, it was {friend}'s birthday.",
        ]),
        often(&[
            "{he} had only one coin, and a {gift} was too expensive.",
            "{he} looked in the shop, but {he} had no money.",
            "\"What can I give?\" {he} wondered.",
        ]),
        always(&[
            "so {he} made a {craft}.",
            "{he} had an idea and made a {color} {craft}.",
            "{he} worked all day and made a {nice} {craft}.",
        ]),
        seldom(&[
            "{he} used {color} paper, a {color} ribbon and a little glue.",
            "the {animal} got in the way, and one corner was a little dirty.",
        ]),
        always(&[
            "\"This is the best present ever!\"",
            "it was the best {craft} of all.",
            "everyone liked the {craft}.",
            "\"You made it yourself? I love it!\"",
        ]),
    ],
    morals: &[
        "a present from the heart is the best one.",
        "{hero} learned that love is the best gift.",
        "the {craft} still hangs on the wall.",
    ],
};
