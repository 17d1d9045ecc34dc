"""Train the teacher: `python train_teacher.py --data MELNEV_BALANCED.csv --out DIR`. Resumes from DIR/last.pt.

EfficientNet-Lite0 from its ImageNet weights, fine-tuned on dermoscopic melanomas and naevi. It is not shipped: it only
says to the AlexNet of train.py how sure one can be of each picture. The result is DIR/best.pt: the averaged weights of
the last epoch, the settings that made them, and the figures on the val split.
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

from derm_networks.augmentation import ViewSettings, random_views
from derm_networks.averaging import averaged_model
from derm_networks.efficientnet_lite import LOW_LEVEL_BLOCK, EfficientNetLite0, imagenet_file, load_imagenet
from derm_networks.figures import area_under_curve
from derm_networks.manifest import labelled_rows
from derm_networks.picture_cache import cached_pictures

CLASSES = ("nevus", "melanoma")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides the result, beside the data."""

    seed: int = 8
    side: int = 160
    cache_side: int = 256
    epochs: int = 6
    batch: int = 16
    encoder_rate: float = 4e-4
    head_rate: float = 2e-3
    weight_decay: float = 2e-2
    warm_up_steps: int = 80
    label_smoothing: float = 0.1
    dropout: float = 0.3
    drop_path: float = 0.1
    average_decay: float = 0.995  # of the exponential moving average of the weights
    mean: float = 127 / 255
    std: float = 128 / 255
    bfloat16: bool = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="table of images (MELNEV_BALANCED.csv)")
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

    network = EfficientNetLite0(num_classes=len(CLASSES), dropout=settings.dropout, drop_path=settings.drop_path)
    load_imagenet(network, imagenet_file())
    averaged = averaged_model(network, settings.average_decay)
    head = [value for name, value in network.named_parameters() if name.startswith("classifier.")]
    body = [value for name, value in network.named_parameters() if not name.startswith("classifier.")]
    optimizer = torch.optim.AdamW(
        [{"params": head, "lr": settings.head_rate}, {"params": body, "lr": settings.encoder_rate}],
        weight_decay=settings.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings, steps))
    first = 0
    if (arguments.out / "last.pt").exists():
        state = torch.load(arguments.out / "last.pt", weights_only=True)
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["epochs_done"]

    views = ViewSettings(height=settings.side, width=settings.side, zoom=(0.85, 1.6), squash=1.3, shift=0.15)
    for epoch in range(first, settings.epochs):
        began = time.monotonic()
        # seeded anew for each epoch, so that a resumed run draws what an unbroken one draws
        torch.manual_seed(settings.seed * 1000 + epoch)
        generator = torch.Generator().manual_seed(settings.seed * 1000 + epoch)
        network.train()
        # the encoder up to stride 4 stays as ImageNet left it: a third of the time saved
        for part in (network.encoder.stem, network.encoder.blocks[: LOW_LEVEL_BLOCK + 1]):
            part.eval().requires_grad_(requires_grad=False)
        order = torch.randperm(len(train_rows), generator=generator)
        total = 0.0
        for step in range(steps):
            picked = order[step * settings.batch : (step + 1) * settings.batch]
            images, _ = random_views(train[picked].float() / 255, None, views, generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                logits = network((images - settings.mean) / settings.std)
            loss = functional.cross_entropy(
                logits.float(), labels[picked], label_smoothing=settings.label_smoothing
            )
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            averaged.update_parameters(network)
            total += loss.item()
            if step % 20 == 0:
                print(f"  epoch {epoch + 1} step {step} loss {total / (step + 1):.4f} {time.monotonic() - began:.0f} s", flush=True)
        probabilities = predict(averaged.module, val, settings)
        record = {
            "epoch": epoch + 1,
            "loss": total / steps,
            "seconds": round(time.monotonic() - began),
            "val_auc": area_under_curve(val_labels.numpy(), probabilities.numpy()),
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


@torch.no_grad()
def predict(network: nn.Module, pictures: Tensor, settings: Settings) -> Tensor:
    """Probability of melanoma (N,) of cached pictures (N, 3, side, side)."""
    network.eval()
    found = []
    for start in range(0, len(pictures), 32):
        images = functional.interpolate(
            pictures[start : start + 32].float() / 255,
            size=(settings.side, settings.side),
            mode="bilinear",
            antialias=True,
        )
        found.append(network((images - settings.mean) / settings.std).softmax(dim=1)[:, 1])
    return torch.cat(found)


def _rate(step: int, settings: Settings, steps: int) -> float:
    warm = min(1.0, (step + 1) / settings.warm_up_steps)
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (steps * settings.epochs))))


if __name__ == "__main__":
    main()
