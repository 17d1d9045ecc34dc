"""A member whose ImageNet weights stay: its last layer is the regression, and it joins others in an ensemble."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from derm_networks.efficientnet_lite import EfficientNetLite, imagenet_file, load_imagenet
from derm_networks.ensemble import EfficientNetLiteEnsemble, joined
from derm_networks.served import ServedBundle, save_weights
from derm_training.learning.frozen_member import frozen_member, last_layer
from derm_training.learning.joined_members import join
from derm_training.tables.manifest import labelled_rows
from tests.derm_networks.test_served import CALL, described

pytestmark = pytest.mark.server  # computes for long


def test_the_layers_softmax_is_the_regressions_probability() -> None:
    draw = np.random.default_rng(5)
    features = draw.normal(3, 2, size=(60, 7)).astype(np.float32)
    second = features[:, 0] + draw.normal(size=60) > 3
    weight, bias = last_layer(features, list(second), strength=0.1, weight=1.0)
    scaler = StandardScaler().fit(features)
    own = LogisticRegression(C=0.1, max_iter=2000).fit(scaler.transform(features), second).predict_proba(scaler.transform(features))
    logits = torch.from_numpy(features) @ weight.T + bias
    assert np.allclose(logits.softmax(dim=1).numpy(), own, atol=1e-5)
    more, offset = last_layer(features, list(second), strength=0.1, weight=2.5)
    assert torch.allclose(torch.from_numpy(features) @ more.T + offset, 2.5 * logits, atol=1e-4)


def test_all_but_the_last_layer_is_imagenets_and_the_classes_are_told_apart(tmp_path: Path) -> None:
    lines = ["path,label,split"]
    for number in range(8):
        brown = number % 2
        picture = np.random.default_rng(number).integers(0, 60, (48, 64, 3)) + ((90, 40, 20) if brown else (190, 190, 190))
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'melanoma' if brown else 'nevus'},train")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    rows = labelled_rows(tmp_path / "table.csv", "train", ["nevus", "melanoma"])
    bundle = ServedBundle(description=described(outputs=[CALL]), network=torch.nn.Identity())
    state = frozen_member(bundle, rows, "lite0", strength=0.1, weight=1.0)
    kept = EfficientNetLite("lite0", num_classes=2)
    load_imagenet(kept, imagenet_file("lite0"))
    assert all(torch.equal(state[name], value) for name, value in kept.state_dict().items() if not name.startswith("classifier."))
    network = EfficientNetLite("lite0", num_classes=2).eval()
    network.load_state_dict(state)
    own = ServedBundle(description=described(outputs=[CALL]), network=network)
    for row in rows:
        with Image.open(row.image) as opened:
            told = own.probabilities(np.asarray(opened))
        assert max(told, key=lambda name: told[name]) == row.label


def test_joined_ensembles_hold_all_members_in_the_order_of_the_files(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first, second = EfficientNetLiteEnsemble(["lite0"], num_classes=2), EfficientNetLiteEnsemble(["lite0", "lite0"], num_classes=2)
    torch.save(first.state_dict(), tmp_path / "first.pt")
    save_weights(second.state_dict(), tmp_path / "second.safetensors", "float32")
    made = EfficientNetLiteEnsemble(["lite0"] * 3, num_classes=2)
    made.load_state_dict(join([tmp_path / "first.pt", tmp_path / "second.safetensors"]), strict=True)
    members = [*first.members, *second.members]
    for own, one in zip(made.members, members, strict=True):
        assert torch.equal(own.get_parameter("classifier.weight"), one.get_parameter("classifier.weight"))
    assert joined([first.members[0].state_dict()]).keys() == first.state_dict().keys()


def test_a_file_of_another_network_is_named(tmp_path: Path) -> None:
    torch.save(EfficientNetLite("lite0", num_classes=2).state_dict(), tmp_path / "single.pt")
    with pytest.raises(ValueError, match=r"single\.pt holds no ensemble"):
        join([tmp_path / "single.pt"])
