"""Train the lesion mask network: `python train.py --data MANIFEST.csv --out DIR`. Resumes from DIR/last.pt.

Read it from top to bottom: settings, data, network, epochs. Decoded pictures are kept in DIR/cache. The result is
DIR/best.pt: the averaged weights of the last epoch and the settings that made them.
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
from derm_networks.deeplabv3plus import DeepLabV3Plus
from derm_networks.efficientnet_lite import LOW_LEVEL_BLOCK, imagenet_file, load_imagenet
from derm_networks.manifest import Row, masked_rows
from derm_networks.picture_cache import cached_masks, cached_pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides the result, beside the data."""

    seed: int = 8
    height: int = 192
    width: int = 256
    cache_height: int = 240
    cache_width: int = 320
    epochs: int = 7
    small_epochs: int = 5  # the first ones run at the small size, at half the cost
    small_height: int = 144
    small_width: int = 192
    early_epochs: int = 1  # after these the encoder up to stride 4 no longer learns: a third of the time saved
    batch: int = 16
    encoder_rate: float = 6e-4
    decoder_rate: float = 3e-3
    weight_decay: float = 1e-2
    warm_up_steps: int = 100
    average_decay: float = 0.997  # of the exponential moving average of the weights
    clinical_repeats: int = 4  # PAD-UFES-20 has 104 pictures against 2256 dermoscopic ones
    mean: float = 127 / 255
    std: float = 128 / 255
    bfloat16: bool = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="table of images with masks (MANIFEST.csv)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the cache, checkpoints and the log")
    parser.add_argument("--epochs", type=int, default=Settings().epochs)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    settings = Settings(epochs=arguments.epochs)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(settings.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)

    train_rows = masked_rows(arguments.data, "train")
    val_rows = masked_rows(arguments.data, "val")
    train = _load(train_rows, arguments.out / "cache", "train", settings)
    val = _load(val_rows, arguments.out / "cache", "val", settings)
    order = [i for i, row in enumerate(train_rows) for _ in range(_repeats(row, settings))]
    steps = len(order) // settings.batch
    print(f"{len(train_rows)} train pictures, {len(val_rows)} val, {steps} steps an epoch", flush=True)

    network = DeepLabV3Plus(drop_path=0.1)
    load_imagenet(network.encoder, imagenet_file())
    averaged = averaged_model(network, settings.average_decay)
    optimizer = _optimizer(network, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings, steps))
    first = 0
    if (arguments.out / "last.pt").exists():
        state = torch.load(arguments.out / "last.pt", weights_only=True)
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["epochs_done"]

    for epoch in range(first, settings.epochs):
        small = epoch < settings.small_epochs
        views = ViewSettings(
            height=settings.small_height if small else settings.height,
            width=settings.small_width if small else settings.width,
            zoom=(0.7, 1.8),
            squash=1.6,
            shift=0.25,
        )
        began = time.monotonic()
        # seeded anew for each epoch, so that a resumed run draws what an unbroken one draws
        torch.manual_seed(settings.seed * 1000 + epoch)
        generator = torch.Generator().manual_seed(settings.seed * 1000 + epoch)
        network.train()
        if epoch >= settings.early_epochs:
            freeze_early_layers(network)
        shuffled = torch.tensor(order)[torch.randperm(len(order), generator=generator)]
        total = 0.0
        for step in range(steps):
            picked = shuffled[step * settings.batch : (step + 1) * settings.batch]
            images, masks = random_views(train[0][picked].float() / 255, train[1][picked].float() / 255, views, generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                logits = network((images - settings.mean) / settings.std)
            loss = mask_loss(logits.float(), masks)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            averaged.update_parameters(network)
            total += loss.item()
            if step % 20 == 0:
                print(f"  epoch {epoch + 1} step {step} loss {total / (step + 1):.4f} {time.monotonic() - began:.0f} s", flush=True)
        record: dict[str, object] = {"epoch": epoch + 1, "loss": total / steps, "seconds": round(time.monotonic() - began)}
        record |= validate(averaged.module, val, val_rows, settings)
        print(json.dumps(record), flush=True)
        with (arguments.out / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
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


def freeze_early_layers(network: DeepLabV3Plus) -> None:
    """Keep weights and running statistics of the encoder's stem and stride-2 and stride-4 blocks as they are."""
    for part in (network.encoder.stem, network.encoder.blocks[: LOW_LEVEL_BLOCK + 1]):
        part.eval().requires_grad_(requires_grad=False)


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy plus one minus the soft Jaccard of each picture; both (N, 1, H, W), masks in 0..1."""
    entropy = functional.binary_cross_entropy_with_logits(logits, masks)
    probability = torch.sigmoid(logits)
    both = (probability * masks).sum(dim=(1, 2, 3))
    either = (probability + masks - probability * masks).sum(dim=(1, 2, 3))
    return entropy + (1 - (both + 1) / (either + 1)).mean()


@torch.no_grad()
def validate(network: nn.Module, val: tuple[Tensor, Tensor], rows: list[Row], settings: Settings) -> dict[str, float]:
    """Mean Jaccard at the network's size, all and for each dataset; the card's figures come from evaluate.py instead."""
    network.eval()
    found: list[Tensor] = []
    for start in range(0, len(rows), 32):
        size = (settings.height, settings.width)
        images = functional.interpolate(
            val[0][start : start + 32].float() / 255, size=size, mode="bilinear", antialias=True
        )
        masks = functional.interpolate(val[1][start : start + 32].float(), size=size, mode="bilinear") > 127
        lesion = network((images - settings.mean) / settings.std) > 0
        both = (lesion & masks).sum(dim=(1, 2, 3))
        found.append(both / (lesion | masks).sum(dim=(1, 2, 3)).clamp(min=1))
    jaccard = torch.cat(found)
    figures = {"jaccard": jaccard.mean().item()}
    for name in sorted({row.dataset for row in rows}):
        figures[name] = jaccard[torch.tensor([row.dataset == name for row in rows])].mean().item()
    return figures


def _load(rows: list[Row], cache: Path, name: str, settings: Settings) -> tuple[Tensor, Tensor]:
    size = (settings.cache_height, settings.cache_width)
    return (
        cached_pictures(rows, cache / f"{name}_images.npy", *size),
        cached_masks(rows, cache / f"{name}_masks.npy", *size),
    )


def _repeats(row: Row, settings: Settings) -> int:
    return settings.clinical_repeats if row.dataset == "PAD-UFES-20" else 1


def _optimizer(network: DeepLabV3Plus, settings: Settings) -> torch.optim.AdamW:
    groups = []
    for encoder, rate in ((True, settings.encoder_rate), (False, settings.decoder_rate)):
        for decayed in (True, False):
            chosen = [
                value
                for name, value in network.named_parameters()
                if name.startswith("encoder.") == encoder and (value.dim() > 1) == decayed
            ]
            groups.append({"params": chosen, "lr": rate, "weight_decay": settings.weight_decay if decayed else 0.0})
    return torch.optim.AdamW(groups)


def _rate(step: int, settings: Settings, steps: int) -> float:
    warm = min(1.0, (step + 1) / settings.warm_up_steps)
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (steps * settings.epochs))))


if __name__ == "__main__":
    main()
