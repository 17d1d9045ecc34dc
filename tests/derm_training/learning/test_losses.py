"""Losses: what each part adds, and what must not count."""

import pytest
import torch
from torch.nn import functional

from derm_training.learning.losses import ClassificationLoss, MaskLoss, divergence


def logits(rows: int = 6, classes: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed), requires_grad=True)


LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


def test_alone_it_is_cross_entropy_with_smoothing() -> None:
    drawn = logits()
    expected = functional.cross_entropy(drawn, LABELS, label_smoothing=0.1)
    torch.testing.assert_close(ClassificationLoss(smoothing=0.1)(drawn, {"label": LABELS}), expected)


def test_a_pupil_of_one_mind_with_its_teacher_pays_for_the_labels_only() -> None:
    drawn = logits()
    loss = ClassificationLoss(advice_share=0.8)(drawn, {"label": LABELS, "advice": drawn.detach() + 3})  # a shift says nothing
    torch.testing.assert_close(loss, 0.2 * functional.cross_entropy(drawn, LABELS))
    assert divergence(drawn, logits(seed=2), 2.0).item() > 0.01


def test_a_picture_without_a_label_teaches_by_advice_alone() -> None:
    labels = torch.tensor([0, 1, 1, 0, -1, -1])
    advice = logits(seed=2).detach()
    drawn = logits()
    loss = ClassificationLoss(advice_share=0.5)(drawn, {"label": labels, "advice": advice})
    expected = 0.5 * divergence(drawn, advice, 2.0) + 0.5 * functional.cross_entropy(drawn[:4], labels[:4])
    torch.testing.assert_close(loss, expected)
    assert ClassificationLoss()(drawn, {"label": torch.full((6,), -1)}).item() == 0


def test_a_mixture_of_two_pictures_is_labelled_as_mixed() -> None:
    drawn, partner = logits(), LABELS.flip(0)
    loss = ClassificationLoss()(drawn, {"label": LABELS, "partner": partner, "weight": torch.full((6,), 0.7)})
    expected = 0.7 * functional.cross_entropy(drawn, LABELS) + 0.3 * functional.cross_entropy(drawn, partner)
    torch.testing.assert_close(loss, expected)


def test_auxiliary_classifiers_count_with_their_share() -> None:
    main, first, second = logits(), logits(seed=2), logits(seed=3)
    loss = ClassificationLoss(auxiliary_share=0.3)((main, [first, second]), {"label": LABELS})
    parts = [functional.cross_entropy(one, LABELS) for one in (main, first, second)]
    torch.testing.assert_close(loss, parts[0] + 0.3 * (parts[1] + parts[2]))


def test_pictures_of_other_diagnoses_count_among_all_classes_only() -> None:
    drawn = logits(classes=5)
    labels = torch.tensor([0, 1, 1, 4, 2, 3])
    loss = ClassificationLoss(main_classes=2, other_share=0.4)(drawn, {"label": labels})
    main = functional.cross_entropy(drawn[:3, :2], labels[:3])
    torch.testing.assert_close(loss, main + 0.4 * functional.cross_entropy(drawn, labels))


def test_a_drawn_mask_is_better_than_a_wrong_one_and_a_perfect_one_costs_nothing() -> None:
    truth = torch.zeros(2, 1, 8, 8)
    truth[:, :, 2:5, 2:6] = 1
    targets = {"mask": truth, "known": torch.ones(2, 1, dtype=torch.bool)}
    perfect, wrong = (float(MaskLoss()(sign * 50 * (truth - 0.5), targets)) for sign in (1, -1))
    assert perfect == pytest.approx(0, abs=1e-4)
    assert wrong > 10


def test_a_map_whose_truth_is_unknown_teaches_nothing() -> None:
    drawn = torch.zeros(2, 2, 4, 4, requires_grad=True)
    known = torch.tensor([[True, False], [True, True]])
    MaskLoss()(drawn, {"mask": torch.ones(2, 2, 4, 4), "known": known}).backward()
    assert drawn.grad is not None
    moved = drawn.grad.abs().sum(dim=(2, 3)) > 0
    assert torch.equal(moved, known)
    nothing = MaskLoss()(drawn, {"mask": torch.ones(2, 2, 4, 4), "known": torch.zeros(2, 2, dtype=torch.bool)})
    assert nothing.item() == 0
