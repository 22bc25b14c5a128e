//! With others.

use super::{Plot, always, often, seldom};
use crate::data::builtin::words::{ANIMALS, FOODS, PLACES, TOYS};

pub(super) const SHARING: Plot = Plot {
    about: &[("treat", FOODS), ("place", PLACES)],
    beats: &[
        always(&[
            "{day}, {he} had a {nice} {treat}.",
            "{day}, {his} {grown} gave {him} a {treat}.",
            "{day}, {hero} took a {treat} to the {place}.",
            "{day}, {he} found a {treat} in {his} bag.",
        ]),
        often(&[
            "{he} wanted to eat it all alone.",
            "it was {size} and it smelled {nice}.",
            "{he} sat down {spot} to eat it.",
        ]),
        always(&[
            "then {friend} came, and {fhe} was hungry.",
            "{friend} had nothing to eat and was {sad}.",
            "{friend} looked at it and asked, \"Can I have some?\"",
            "then a {animal} came near and looked very hungry.",
        ]),
        seldom(&[
            "{hero} did not want to share at first.",
            "{hero} thought about it for a while. It was {his} {treat}, but {friend} was {his} friend.",
            "\"It is mine,\" said {hero}, but then {he} saw {friend}'s face.",
        ]),
        always(&[
            "{hero} gave {friend} half of it.",
            "\"Let's share,\" said {hero}.",
            "so {hero} cut the {treat} in two and gave one piece away.",
            "\"Here, take some of my {treat},\" {he} said {softly}.",
        ]),
        often(&[
            "\"Thank you, {hero}!\" said {friend}. \"You are kind.\"",
            "{friend} smiled and said, \"Thank you!\"",
            "they ate together and {play}.",
        ]),
    ],
    morals: &[
        "{hero} learned that sharing is fun.",
        "sharing made them both {glad}.",
        "from that day on they shared everything.",
        "{he} knew that a friend is better than a {treat}.",
    ],
};

pub(super) const NEWCOMER: Plot = Plot {
    about: &[("place", PLACES), ("pet", ANIMALS)],
    beats: &[
        always(&[
            "{day}, {he} saw a new (girl|boy|child|{pet}) near the {place}.",
            "{day}, {friend} moved into the house next door.",
            "{day}, someone new came to the {place}. It was {friend}.",
        ]),
        always(&[
            "{hero} was shy and did not know what to say.",
            "nobody played with the new one, and that made {hero} {sad}.",
            "{friend} stood alone {spot} and looked {sad}.",
        ]),
        often(&[
            "{his} {grown} said, \"Just say hello.\"",
            "\"What if {fhe} does not like me?\" {hero} asked {his} {grown}.",
            "{hero} took a deep breath and walked over {quickly}.",
        ]),
        always(&[
            "\"Hello, do you want to play?\" asked {hero}.",
            "\"Hi! My name is {hero}. Do you like my {toy}?\" {he} said.",
            "so {hero} smiled and waved.",
            "{hero} brought a {food} and a {color} {toy}.",
        ]),
        seldom(&[
            "\"Yes!\" said {friend}. \"I know a good game.\"",
            "{friend} showed {him} a {nice} {toy} from far away.",
        ]),
        always(&[
            "they {play}.",
            "soon they {play} and were friends.",
            "they {play} all day long.",
            "they became best friends.",
        ]),
    ],
    morals: &[
        "{hero} learned that it is easy to make a friend.",
        "a kind word is enough to make a friend.",
        "{he} was never alone at the {place} again.",
    ],
};

pub(super) const QUARREL: Plot = Plot {
    about: &[("thing", TOYS)],
    beats: &[
        always(&[
            "{day}, {hero} and {friend} both wanted the same {thing}.",
            "{day}, {he} and {friend} had a fight about a {thing}.",
            "{day}, {friend} took {hero}'s {thing} without asking.",
        ]),
        often(&[
            "\"It is mine!\" said {hero}. \"No, it is mine!\" said {friend}.",
            "they pulled and pulled, and {hero} was angry.",
            "\"Give it back!\" shouted {hero}.",
        ]),
        always(&[
            "then the {thing} broke, and both were {sad}.",
            "{hero} went home and was {sad}.",
            "they did not talk to each other, and both felt {sad}.",
        ]),
        seldom(&[
            "{his} {grown} said, \"A {thing} can't hug you, but a friend can.\"",
            "at night {hero} could not sleep, because {he} missed {friend}.",
        ]),
        always(&[
            "the next day {hero} said, \"I am sorry.\" \"Me too,\" said {friend}.",
            "then {friend} said sorry, and {hero} said it too.",
            "{his} {grown} said that they could take turns, and so they did.",
        ]),
    ],
    morals: &[
        "they learned to take turns.",
        "{hero} knew that {friend} was more important than any {thing}.",
        "they never fought about a {thing} again.",
    ],
};
