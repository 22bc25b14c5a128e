//! Animals, plants, weather.

use super::{Plot, always, often, seldom};
use crate::data::builtin::words::{ANIMALS, FLOWERS, PLACES};

pub(super) const RESCUE: Plot = Plot {
    about: &[
        ("pet", ANIMALS),
        ("place", PLACES),
        (
            "trap",
            &[
                "in a tree",
                "in a net",
                "in a hole",
                "in the mud",
                "under a branch",
                "on a rock in the water",
                "in a bush",
                "in a fence",
            ],
        ),
    ],
    beats: &[
        always(&[
            "{day}, {he} saw a {pet} by the {place}.",
            "{day}, {hero} heard a {size} noise near the {place}. It was a {pet}.",
            "{day}, {he} found a {color} {pet}.",
            "{day}, {weather}, and {hero} met a {pet}.",
        ]),
        always(&[
            "the {pet} was stuck {trap}.",
            "it was hurt and looked {sad}.",
            "it was stuck {trap} and could not get out.",
            "\"Help me!\" it cried, because it was stuck {trap}.",
        ]),
        often(&[
            "\"Do not be afraid, {size} {pet},\" said {hero}.",
            "{hero} wanted to help, but {he} was too small.",
            "{he} ran home {quickly} and called {his} {grown}.",
        ]),
        seldom(&[
            "{he} took a long stick, but it was too short.",
            "{friend} brought a rope, and they pulled with all their strength.",
            "{his} {grown} said, \"Be careful, it may bite.\"",
        ]),
        always(&[
            "{he} lifted it out {softly}.",
            "{hero} and {his} {grown} helped it and gave it some water.",
            "together they pulled, and the {pet} was free.",
            "{he} took it home and gave it a {food}.",
        ]),
        often(&[
            "\"Thank you,\" said the {pet}. \"I will never forget you.\"",
            "the {pet} jumped and ran in a circle.",
            "after some days it was well again.",
        ]),
    ],
    morals: &[
        "the {pet} became {his} friend.",
        "{hero} learned that even a small {kind} can help.",
        "every day the {pet} comes to say hello.",
        "it is good to be kind to animals.",
    ],
};

pub(super) const SEED: Plot = Plot {
    about: &[("plant", FLOWERS)],
    beats: &[
        always(&[
            "{day}, {his} {grown} gave {him} a seed.",
            "{day}, {he} found a {size} seed {spot}.",
            "{day}, {hero} put a seed in the ground.",
        ]),
        often(&[
            "{he} gave it water every day.",
            "\"What will it be?\" {he} asked.",
            "{he} dug a hole, put the seed in and covered it with earth.",
        ]),
        always(&[
            "but nothing happened, and {he} was {sad}.",
            "{hero} waited and waited.",
            "the next day there was nothing to see.",
        ]),
        seldom(&[
            "\"Plants need time,\" said {his} {grown}. \"Wait and give it water.\"",
            "a {animal} wanted to eat the seed, but {hero} watched over it.",
            "it rained, and then the sun was shining again.",
        ]),
        always(&[
            "one morning there was a {size} green leaf.",
            "then it grew and grew, and it was a {plant}.",
            "in the summer there was a {size} {plant}.",
            "after many days {he} saw a {nice} {plant}.",
        ]),
    ],
    morals: &[
        "{hero} learned to wait.",
        "good things take time.",
        "{he} gave the first seeds to {friend}.",
        "it was the most beautiful {plant} in the whole village.",
    ],
};

pub(super) const RAIN: Plot = Plot {
    about: &[],
    beats: &[
        always(&[
            "{day}, {hero} wanted to go out and play, but it began to rain.",
            "{day}, {he} and {friend} met near the {place}, but then dark clouds came.",
            "{day}, it rained and rained.",
        ]),
        always(&[
            "\"I do not like the rain,\" {he} said.",
            "{he} looked out of the window and was {sad}.",
            "{hero} was {sad}, because {he} wanted to see the {place}.",
        ]),
        often(&[
            "\"We can play inside,\" said {his} {grown}.",
            "{friend} put on a {color} {wear} and laughed.",
            "\"The flowers like the rain,\" said {his} {grown}.",
        ]),
        always(&[
            "so they made a tent out of blankets and {play}.",
            "they baked a {food} and {play}.",
            "{he} put on {his} boots and jumped into a {size} puddle.",
            "they {play} inside, and it was fun.",
        ]),
        seldom(&[
            "the rain sang on the roof, and the room was warm.",
            "even the {animal} came in and lay down near the fire.",
        ]),
        always(&[
            "then the sun came out, and there was a rainbow.",
            "when the rain stopped, everything was fresh and green.",
            "in the evening the sky was {color}.",
        ]),
    ],
    morals: &[
        "{hero} learned that a rainy day can be a good day.",
        "now {he} likes the rain.",
        "after rain comes sunshine.",
    ],
};
