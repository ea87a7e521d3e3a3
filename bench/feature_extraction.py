"""Feature extraction of bench/feature-extraction.ts in PyTorch: its own loader, transforms and MobileNetV2.

Reads one JSON configuration from the command line; then, for each line on standard input (a JSON list of files), prints
the seconds for them. Needs Debian's python3-torchvision with libopenblas0-pthread. Weights are random: only time matters.
"""
import json
import sys
import time

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import mobilenet_v2

config = json.loads(sys.argv[1])
torch.set_num_threads(config["threads"])
torch.set_flush_denormal(True)
size = config["size"]
transform = transforms.Compose(
    [
        transforms.Resize(size),
        transforms.CenterCrop(size),
        transforms.ToTensor(),
        transforms.Normalize([0.5] * 3, [0.5] * 3),
    ]
)
network = mobilenet_v2(weights=None).eval()


class Pictures(Dataset):
    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return transform(Image.open(self.files[index]).convert("RGB"))


def extract(files):
    features = []
    with torch.inference_mode():
        for batch in DataLoader(Pictures(files), batch_size=config["batchSize"], num_workers=config["workers"]):
            features.append(network.features(batch).mean([2, 3]))
    return torch.cat(features)


if __name__ == "__main__":
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        files = json.loads(line)
        started = time.perf_counter()
        assert len(extract(files)) == len(files)
        print(time.perf_counter() - started, flush=True)
