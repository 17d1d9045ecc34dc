"""Parts of the engines: views and their targets, precision, layers that are kept, starts, a teacher's advice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from derm_networks.efficientnet_lite import EfficientNetLite
from derm_networks.served import open_bundle
from derm_training.learning.distillation import teacher
from derm_training.learning.engine import PrepareViews, PrepareWhole, TrainingInferer, torch_device
from derm_training.learning.start import started
from tests.conftest import REPOSITORY

CPU = torch.device("cpu")
ALEXNET = REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet"


def batch(count: int = 8, **more: Any) -> dict[str, Any]:
    pictures = torch.randint(0, 256, (count, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return {"image": pictures, "label": torch.arange(count) % 4, "dataset": ["D"] * count, **more}


def views(**more: Any) -> PrepareViews:
    made = PrepareViews(height=16, width=16, mean=[0.5] * 3, std=[0.25] * 3, **more)
    made.begin_epoch(1, 7)
    return made


def test_views_are_normalised_and_drawn_by_the_seed_of_the_epoch() -> None:
    prepare = views()
    first, targets = prepare(batch(), CPU)
    assert first.shape == (8, 3, 16, 16)
    assert -2 <= float(first.min()) < float(first.max()) <= 2
    assert torch.equal(targets["label"], batch()["label"])
    second, _ = prepare(batch(), CPU)
    prepare.begin_epoch(1, 7)
    again, _ = prepare(batch(), CPU)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_mixed_pictures_name_their_partner_and_never_mix_across_the_main_classes() -> None:
    labels = torch.tensor([0, 1, 0, 1, 2, 3, -1, -1])
    prepare = views(mixup=0.4, main_classes=2)
    for seed in range(5):
        prepare.begin_epoch(1, seed)
        _, targets = prepare(batch(label=labels), CPU)
        kind = (labels < 0).int() + 2 * (labels >= 2).int()
        partner = targets["partner"]
        assert torch.equal((partner < 0).int() + 2 * (partner >= 2).int(), kind)
        assert 0.5 <= float(targets["weight"][0]) <= 1
    assert "partner" not in views(mixup=0.4, mixup_batches=0.0)(batch(), CPU)[1]


def test_a_mask_moves_with_its_picture_and_the_first_epochs_are_smaller() -> None:
    masks = torch.zeros(8, 1, 20, 24, dtype=torch.uint8)
    masks[:, :, 5:15] = 255
    known = torch.ones(8, 1, dtype=torch.bool)
    prepare = views(small=[2, 8, 12])
    inputs, targets = prepare(batch(mask=masks, known=known), CPU)
    assert inputs.shape[2:] == targets["mask"].shape[2:] == (8, 12)
    prepare.begin_epoch(3, 7)
    inputs, targets = prepare(batch(mask=masks, known=known), CPU)
    assert inputs.shape[2:] == (16, 16)
    assert 0 < float(targets["mask"].mean()) < 1


def test_composed_pictures_teach_lesion_and_skin() -> None:
    masks = torch.zeros(8, 2, 20, 24, dtype=torch.uint8)
    masks[:, 0, 8:12, 8:14] = 255
    known = torch.tensor([[True, False]] * 8)
    _, targets = views(composed=0.5)(batch(mask=masks, known=known), CPU)
    assert bool(targets["known"].all())
    assert float(targets["mask"][:, 1].mean()) > 0
    assert bool((targets["mask"][:, 1] + 1e-3 >= targets["mask"][:, 0]).all()), "lesions are skin"


def test_judging_sees_whole_pictures_at_the_networks_size() -> None:
    inputs, targets = PrepareWhole(height=10, width=12, mean=[0.5] * 3, std=[0.25] * 3)(batch(), CPU)
    assert inputs.shape == (8, 3, 10, 12)
    assert targets["dataset"] == ["D"] * 8


def test_kept_layers_learn_and_count_nothing_from_their_epoch_on() -> None:
    network = EfficientNetLite("lite0", num_classes=2)
    inferer = TrainingInferer(precision="bfloat16", kept=["encoder"], kept_after=1)
    for epoch, learns in ((1, True), (2, False)):
        inferer.begin_epoch(epoch, 0)
        network.train()
        said = inferer(torch.rand(2, 3, 32, 32), network)
        assert said.dtype == torch.bfloat16
        assert all(one.requires_grad == learns for one in network.encoder.stem.parameters())
        assert network.encoder.stem.training == learns
        assert all(one.requires_grad for one in network.classifier.parameters())
    plain = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    TrainingInferer(precision="float32", kept=["0"])(torch.rand(1, 2), plain)
    assert [one.requires_grad for one in plain.parameters()] == [False, False, True, True]
    with pytest.raises(ValueError, match="it can be bfloat16 or float32"):
        TrainingInferer(precision="float16")


def test_a_device_that_is_not_there_is_refused() -> None:
    assert torch_device("cpu") == CPU
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="set device to auto or cpu"):
            torch_device("cuda")


def test_a_start_from_a_file_takes_what_fits_and_tells_the_rest(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
    torch.save(given.state_dict(), tmp_path / "w.pt")
    network = started(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), pretrained=str(tmp_path / "w.pt"), device=CPU)
    assert torch.equal(network.state_dict()["0.weight"], given.state_dict()["0.weight"])
    assert "as drawn at random: 1.weight, 1.bias" in capfd.readouterr().err
    with pytest.raises(ValueError, match="holds no tensor of this network"):
        started(nn.Conv2d(1, 1, 1), pretrained=str(tmp_path / "w.pt"), device=CPU)


def test_a_teacher_says_of_a_view_what_its_bundle_says_of_the_picture(tmp_path: Path) -> None:
    advisor = teacher(ALEXNET, ["melanoma", "nevus"], CPU)
    assert advisor is not None
    with Image.open(ALEXNET / "golden" / "0.png") as golden:
        picture = torch.from_numpy(np.array(golden.convert("RGB")))
    expected = open_bundle(ALEXNET).logits(picture.numpy())[0]
    advice = advisor(picture.permute(2, 0, 1)[None].float() / 255)[0]
    torch.testing.assert_close(advice, expected.flip(0), atol=1e-4, rtol=1e-4)


def test_without_a_teacher_it_is_told_and_a_teacher_of_other_classes_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert teacher(tmp_path, ["nevus"], CPU) is None
    assert "learning from the labels alone" in capfd.readouterr().err
    assert teacher("none", ["nevus"], CPU) is None
    with pytest.raises(ValueError, match="knows nevus, melanoma, not psoriasis"):
        teacher(ALEXNET, ["psoriasis"], CPU)
