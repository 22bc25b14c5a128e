"""The least that a GPU must do for each stage, and how much of it the published study is.

Operations are those of products of matrices and of attention. Bytes are what must pass through the card's memory: every
half of a block reads and writes its rows once, training in bf16 keeps 24 bytes per column, block and token and reads them again,
AdamW reads four numbers of a parameter and writes three, sums of a class are read and written in f64. All per token.
"""
import dataclasses, itertools

VOCABULARY, HEADS, WINDOW = 50257, 16, 256
SHAPES = ["64x1x2048x16", "768x2x2048x16", "1024x12x2048x4"]
STAGES = ["train", "means", "vars", "decs"]

# What Wu and Papyan (arXiv 2405.17767) trained and measured: 30 architectures, each with weight decay 0.0005 for 1, 3 and 10
# epochs and 0.1 for 1 and 10, of which 7 checkpoints were measured; of one architecture 20 more seeds for an epoch.
LAYERS, WIDTHS = [1, 2, 4, 8, 12], [64, 128, 256, 512, 768, 1024]
EPOCHS, CHECKPOINTS = 1 + 3 + 10 + 1 + 10, 7
SEEDED, SEEDS = (2, 768), 20
LENGTH, TRAIN_SEQUENCES, VALIDATION_TARGETS = 2048, 229_367, 4_714_191


@dataclasses.dataclass(frozen=True)
class Card:
    """What a card can do: products in three kinds of numbers, TFLOP/s; memory, GB/s."""
    bf16: float
    tf32: float
    f32: float
    memory: float


@dataclasses.dataclass(frozen=True)
class Shape:
    width: int
    depth: int
    length: int
    batch: int
    vocabulary: int = VOCABULARY
    window: int = WINDOW

    @classmethod
    def of(cls, text, **more):
        return cls(*(int(size) for size in text.split("x")), **more)

    @property
    def parameters(self):
        d = self.width
        return (self.vocabulary + self.length) * d + self.depth * (12 * d**2 + 10 * d) + 2 * d

    @property
    def forward(self):
        """Operations of a forward pass without the head; global and local layers in turn."""
        seen = [self.length if layer % 2 == 0 else min(self.length, self.window) for layer in range(self.depth)]
        attention = sum(4 * self.width * (one * (one + 1) / 2 + (self.length - one) * one) / self.length for one in seen)
        return 24 * self.depth * self.width**2 + attention

    def floor(self, stage):
        """Operations and bytes per token."""
        d, head = self.width, 2 * self.width * self.vocabulary
        weights = 4 * self.parameters / (self.batch * self.length)
        rows = 16 * self.depth * d + 8 * d
        return {
            "train": (3 * (self.forward + head), 7 * weights + 48 * self.depth * d),
            "means": (self.forward, weights + rows + 20 * d),
            "vars": (self.forward, weights + rows + 12 * d),
            "decs": (self.forward + 2 * head, 2 * weights + rows),
        }[stage]

    def tokens_per_s(self, stage, dtype, card):
        """The most that a card allows."""
        operations, moved = self.floor(stage)
        return 1 / max(operations / (getattr(card, dtype) * 1e12), moved / (card.memory * 1e9))


def study():
    """For each architecture of the published study: its shape, and the tokens of each stage."""
    for depth, width in itertools.product(LAYERS, WIDTHS):
        more = SEEDS if (depth, width) == SEEDED else 0
        targets = TRAIN_SEQUENCES * (LENGTH - 1) * (CHECKPOINTS + more)
        yield Shape(width, depth, LENGTH, 16 if depth < 12 or width < 1024 else 4), {
            "train": TRAIN_SEQUENCES * LENGTH * (EPOCHS + more),
            "means": targets,
            "vars": targets,
            "decs": VALIDATION_TARGETS * (CHECKPOINTS + more),
        }
