"""Train the AlexNet: `python train.py --data MELNEV_BALANCED.csv --teacher DIR/best.pt --out DIR`. Resumes from DIR/last.pt.

AlexNet from random weights learns two things of each random view of a picture: its label, and what the teacher
(train_teacher.py) says of the very same view (Hinton, Vinyals and Dean 2015; Beyer et al. 2022). The result is
DIR/best.pt: the averaged weights of the last epoch, the settings that made them, and the AUC on the val split.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from derm_networks.alexnet import AlexNet, start_weights
from derm_networks.augmentation import ViewSettings, random_views
from derm_networks.averaging import averaged_model
from derm_networks.efficientnet_lite import EfficientNetLite0
from derm_networks.figures import area_under_curve
from derm_networks.manifest import labelled_rows
from derm_networks.picture_cache import cached_pictures

CLASSES = ("nevus", "melanoma")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides the result, beside the data."""

    seed: int = 8
    side: int = 224
    teacher_side: int = 160
    cache_side: int = 256
    rank: int = 192  # of the two hidden fully connected layers
    dropout: float = 0.3
    epochs: int = 10
    batch: int = 32
    rate: float = 4e-4
    weight_decay: float = 2e-2
    warm_up_steps: int = 100
    soft_temperature: float = 2.0
    soft_share: float = 0.8  # of the loss; the rest is cross-entropy with the label
    average_decay: float = 0.995
    mean: float = 127 / 255
    std: float = 128 / 255
    bfloat16: bool = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="table of images (MELNEV_BALANCED.csv)")
    parser.add_argument("--teacher", type=Path, required=True, help="best.pt of train_teacher.py")
    parser.add_argument("--out", type=Path, required=True, help="folder for the cache, checkpoints and the log")
    parser.add_argument("--epochs", type=int, default=Settings().epochs)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    settings = Settings(epochs=arguments.epochs)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(settings.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)

    train_rows = labelled_rows(arguments.data, "train", CLASSES)
    val_rows = labelled_rows(arguments.data, "val", CLASSES)
    side = settings.cache_side
    train = cached_pictures(train_rows, arguments.out / "cache" / "train.npy", side, side)  # (N, 3, side, side)
    val = cached_pictures(val_rows, arguments.out / "cache" / "val.npy", side, side)
    labels = torch.tensor([CLASSES.index(row.label) for row in train_rows])
    val_labels = torch.tensor([CLASSES.index(row.label) for row in val_rows])
    steps = len(train_rows) // settings.batch

    teacher = EfficientNetLite0(num_classes=len(CLASSES))
    teacher.load_state_dict(torch.load(arguments.teacher, weights_only=True)["model"])
    teacher.eval()
    network = AlexNet(num_classes=len(CLASSES), rank=settings.rank, dropout=settings.dropout)
    network.apply(start_weights)
    averaged = averaged_model(network, settings.average_decay)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings, steps))
    first = 0
    if (arguments.out / "last.pt").exists():
        state = torch.load(arguments.out / "last.pt", weights_only=True)
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["epochs_done"]

    views = ViewSettings(height=settings.side, width=settings.side, zoom=(0.85, 1.5), squash=1.25, shift=0.12)
    for epoch in range(first, settings.epochs):
        began = time.monotonic()
        # seeded anew for each epoch, so that a resumed run draws what an unbroken one draws
        torch.manual_seed(settings.seed * 1000 + epoch)
        generator = torch.Generator().manual_seed(settings.seed * 1000 + epoch)
        network.train()
        order = torch.randperm(len(train_rows), generator=generator)
        total = 0.0
        for step in range(steps):
            picked = order[step * settings.batch : (step + 1) * settings.batch]
            images, _ = random_views(train[picked].float() / 255, None, views, generator)
            inputs = (images - settings.mean) / settings.std  # (batch, 3, 224, 224)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                with torch.no_grad():
                    advice = teacher(_resized(inputs, settings.teacher_side))
                logits = network(inputs)
            loss = distillation_loss(logits.float(), advice.float(), labels[picked], settings)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            averaged.update_parameters(network)
            total += loss.item()
            if step % 10 == 0:
                print(f"  epoch {epoch + 1} step {step} loss {total / (step + 1):.4f} {time.monotonic() - began:.0f} s", flush=True)
        record = {
            "epoch": epoch + 1,
            "loss": total / steps,
            "seconds": round(time.monotonic() - began),
            "val_auc": area_under_curve(val_labels.numpy(), predict(averaged.module, val, settings).numpy()),
        }
        print(json.dumps(record), flush=True)
        torch.save(
            {
                "network": network.state_dict(),
                "averaged": averaged.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "epochs_done": epoch + 1,
            },
            arguments.out / "last.pt",
        )
        torch.save(
            {"model": averaged.module.state_dict(), "settings": asdict(settings), "record": record},
            arguments.out / "best.pt",
        )


def distillation_loss(logits: Tensor, advice: Tensor, labels: Tensor, settings: Settings) -> Tensor:
    """Cross-entropy with the labels (N,) mixed with the divergence from the teacher's softened output; logits (N, 2)."""
    warmth = settings.soft_temperature
    soft = functional.kl_div(
        functional.log_softmax(logits / warmth, dim=1),
        functional.log_softmax(advice / warmth, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    hard = functional.cross_entropy(logits, labels)
    return settings.soft_share * warmth**2 * soft + (1 - settings.soft_share) * hard


@torch.no_grad()
def predict(network: nn.Module, pictures: Tensor, settings: Settings) -> Tensor:
    """Probability of melanoma (N,) of cached pictures (N, 3, side, side)."""
    network.eval()
    found = []
    for start in range(0, len(pictures), 32):
        images = _resized(pictures[start : start + 32].float() / 255, settings.side)
        found.append(network((images - settings.mean) / settings.std).softmax(dim=1)[:, 1])
    return torch.cat(found)


def _resized(images: Tensor, side: int) -> Tensor:
    return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def _rate(step: int, settings: Settings, steps: int) -> float:
    warm = min(1.0, (step + 1) / settings.warm_up_steps)
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (steps * settings.epochs))))


if __name__ == "__main__":
    main()
