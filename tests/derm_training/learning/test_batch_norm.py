"""Batch normalisation while learning: folded away, the plain network says the same under the plain names."""

import copy

import torch

from derm_networks.alexnet import AlexNet, start_weights
from derm_training.learning.batch_norm import Normalised, fold, normalised


def test_the_folded_network_has_the_plain_keys_and_says_the_same() -> None:
    torch.manual_seed(2)
    plain = AlexNet(num_classes=2, rank=8)
    learning = normalised(copy.deepcopy(plain).apply(start_weights), ["features", "classifier"])
    assert sum(isinstance(one, Normalised) for one in learning.modules()) == 7, "5 convolutions, 2 hidden layers"
    pictures = torch.randn(4, 3, 64, 64)
    learning.train()
    for _ in range(3):
        learning(pictures)  # the running statistics move away from 0 and 1
    learning.eval()
    expected = learning(pictures)
    folded = fold(copy.deepcopy(learning))
    plain.load_state_dict(folded.state_dict(), strict=True)
    torch.testing.assert_close(plain.eval()(pictures), expected, atol=1e-4, rtol=1e-4)
