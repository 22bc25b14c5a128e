//! Something goes wrong.

use super::{Plot, always, often, seldom};
use crate::data::builtin::words::{COLORS, FOODS, PLACES, SPOTS, TOYS};

pub(super) const LOST: Plot = Plot {
    about: &[("thing", TOYS), ("hue", COLORS), ("place", PLACES), ("there", SPOTS)],
    beats: &[
        often(&[
            "{he} had a {nice} {thing}, and it was {hue}.",
            "{his} {grown} had given {him} a {hue} {thing}.",
            "{he} took {his} {hue} {thing} everywhere, even to the {place}.",
        ]),
        always(&[
            "{day}, {he} lost {his} {thing}.",
            "{day}, {he} could not find {his} {hue} {thing}.",
            "{day}, {hero} went to the {place} and lost {his} {thing} there.",
            "{day}, when {he} woke up, {his} {thing} was gone.",
        ]),
        often(&[
            "{he} was {sad} and began to cry.",
            "{hero} felt {sad}.",
            "\"Where is my {thing}?\" {he} (cried|asked|called).",
            "\"Oh no! My {thing} is gone!\" said {hero}.",
        ]),
        often(&[
            "{he} looked {spot}, but it was not there.",
            "{he} looked {spot} and {spot}, but {he} found nothing.",
            "first {he} looked {spot}, then {he} looked {spot}.",
            "{he} searched (the whole house|every room|the whole {place}) {quickly}.",
        ]),
        seldom(&[
            "then {he} asked {friend}, \"Have you seen my {thing}?\" \"No,\" said {friend}, \"but I will help you look for it.\"",
            "{his} {grown} said, \"Think {softly}. Where did you have it last?\" {hero} thought and thought.",
            "a {size} {animal} sat {spot} and watched {him}.",
        ]),
        always(&[
            "{friend} found it {there}.",
            "at last {he} found it {there}.",
            "{his} {grown} helped {him}, and they found it {there}.",
            "then {he} saw something {hue} {there}, and it was the {thing}!",
            "a {animal} had carried it away and hidden it {there}.",
        ]),
        seldom(&[
            "\"Thank you!\" said {hero} and held the {thing} tight.",
            "\"I will take better care of it,\" {he} said.",
        ]),
    ],
    morals: &[
        "from then on {hero} always put {his} things away.",
        "{he} learned to take care of {his} things.",
        "{hero} learned to ask for help and not to give up.",
        "{he} never left the {thing} {there} again.",
    ],
};

pub(super) const BROKEN: Plot = Plot {
    about: &[(
        "broken",
        &["cup", "plate", "vase", "window", "lamp", "clock", "bowl", "mirror", "flower pot", "picture"],
    )],
    beats: &[
        always(&[
            "{day}, {he} broke {his} {grown}'s {broken}.",
            "{day}, {hero} was running in the house and hit the {broken}. It fell and broke.",
            "{day}, {hero} threw a ball in the kitchen, and it broke a {broken}.",
        ]),
        often(&[
            "{he} was {sad} and hid {spot}.",
            "{he} did not want to tell {his} {grown}, because {he} was {sad}.",
            "{he} put the pieces {spot}, but {he} felt {sad}.",
        ]),
        often(&[
            "\"Who broke the {broken}?\" asked {his} {grown}.",
            "when {his} {grown} came home, {ghe} saw the {broken}.",
            "{his} {grown} looked at the floor and asked, \"What happened here?\"",
        ]),
        seldom(&[
            "{hero} wanted to say that the {animal} did it, but that was not true.",
            "{hero} looked at {his} feet and said nothing for a long time.",
        ]),
        always(&[
            "\"I did it. I am sorry,\" said {hero}.",
            "then {he} told the truth and said that {he} was sorry.",
            "{hero} told {his} {grown} everything.",
            "\"I broke it, and I am sorry,\" {he} said {softly}.",
        ]),
        always(&[
            "{his} {grown} was not angry and hugged {him}.",
            "\"Thank you for telling the truth,\" said {his} {grown}.",
            "{his} {grown} smiled, and they mended it with glue.",
            "together they swept the floor, and {his} {grown} forgave {him}.",
        ]),
    ],
    morals: &[
        "{hero} learned that it is good to tell the truth.",
        "{he} knew now that telling the truth is brave.",
        "from that day on {he} played ball outside.",
        "{he} learned that everyone makes mistakes.",
    ],
};

pub(super) const ASTRAY: Plot = Plot {
    about: &[("wild", &["forest", "big market", "fog", "tall corn", "city", "mountains", "tall grass"])],
    beats: &[
        always(&[
            "{day}, {hero} walked into the {wild} and got lost.",
            "{day}, {he} followed a {color} butterfly and lost {his} way in the {wild}.",
            "{day}, {he} let go of {his} {grown}'s hand, and soon {he} was lost in the {wild}.",
        ]),
        often(&[
            "it was getting dark, and {he} was {sad}.",
            "everything looked the same, and {hero} felt {sad}.",
            "\"Which way is home?\" {he} (cried|asked|wondered).",
        ]),
        seldom(&[
            "{he} walked and walked, but {he} only came back to the same {color} stone.",
            "{he} sat down {spot} and listened. There was no sound but the wind.",
        ]),
        always(&[
            "then {he} met (a wise|an old|a kind) {animal} who knew the way.",
            "then {he} stood still and called, and {his} {grown} heard {him}.",
            "then {he} remembered the {size} {color} tree near {his} house and saw it far away.",
            "a (baker|farmer|policeman|teacher|sailor|postman) asked, \"Are you lost?\" and took {him} by the hand.",
        ]),
        often(&[
            "\"Follow me,\" it said, and {hero} followed.",
            "step by step {he} came closer to home.",
            "soon {he} could see the lights of {his} house.",
        ]),
        always(&[
            "{hero} was {glad} to be home.",
            "{his} {grown} ran to {him} and hugged {him}.",
            "{his} {grown} was waiting at the door with a {food}.",
        ]),
    ],
    morals: &[
        "{hero} promised to stay close the next time.",
        "after that {he} never went into the {wild} alone.",
        "{he} learned to stay calm and to ask for help.",
    ],
};

pub(super) const GREED: Plot = Plot {
    about: &[("treat", FOODS)],
    beats: &[
        always(&[
            "{day}, {hero} saw a {treat} on the table.",
            "{day}, {his} {grown} brought home a {treat} and put it on the table.",
            "{day}, {he} smelled a {treat} in the kitchen.",
        ]),
        often(&[
            "\"Do not eat it before dinner,\" said {his} {grown}.",
            "\"It is for all of us,\" said {his} {grown}.",
            "it looked {nice} and smelled {nice}, and {he} was hungry.",
        ]),
        always(&[
            "but {he} ate it all.",
            "when nobody was looking, {he} ate it {quickly}.",
            "{he} took one bite, then another, and soon it was gone.",
        ]),
        often(&[
            "soon {his} belly hurt, and {he} was {sad}.",
            "then {friend} came, and there was nothing left for {fhim}.",
            "then {he} felt {sad}, because there was none left for the others.",
        ]),
        always(&[
            "\"I am sorry,\" {he} said, and {he} helped to make a new one.",
            "{hero} said sorry, and {his} {grown} gave {him} some tea.",
            "{he} gave {friend} {his} best {toy} and said sorry.",
        ]),
    ],
    morals: &[
        "{hero} learned not to be greedy.",
        "the next time {he} waited and shared.",
        "{he} learned that things taste better together.",
    ],
};
