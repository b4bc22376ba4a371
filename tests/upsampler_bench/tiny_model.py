"""A user's own model: two stages behind a strided convolution, in a few lines."""

from torch import nn


class Tiny(nn.Module):
    def __init__(self, make_upsampler):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)])
        self.up = make_upsampler(8, 8)
        self.score = nn.Conv2d(8, 5, 1)

    def forward(self, image):
        fine = self.down[0](image)
        return self.score(self.up.upsample_to(self.down[1](fine), fine))


def build(make_upsampler):
    return Tiny(make_upsampler)


def eights(make_upsampler):
    return Tiny(make_upsampler)


eights.SIDE_MULTIPLE = 8


def wrong(make_upsampler):
    return 3


def tuples(make_upsampler):
    class Two(Tiny):
        def forward(self, image):
            scores = super().forward(image)
            return scores, scores[..., ::2, ::2]

    return Two(make_upsampler)


def nothing(make_upsampler):
    class Nothing(Tiny):
        def forward(self, image):
            return None

    return Nothing(make_upsampler)


def without(make_upsampler):
    return nn.Conv2d(3, 5, 1)
