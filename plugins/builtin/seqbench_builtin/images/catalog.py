"""The three image collections, with the digests of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Collection:
    """One collection of images.

    Args:
        title: its name in messages.
        torchvision_class: its name in ``torchvision.datasets``.
        megabytes: size of its four files, compressed.
        digests: SHA-256 of each file's decompressed content, if known.
        debian_package: Debian's package with the files, if there is one.
        debian_folder: the folder of the files in that package.
    """

    title: str
    torchvision_class: str
    megabytes: int
    digests: Mapping[str, str] = field(default_factory=dict)
    debian_package: str = ""
    debian_folder: Path | None = None

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders to search inside a data folder, the most specific first."""
        return (f"{self.torchvision_class}/raw", self.title.lower(), "")


FASHION_MNIST = Collection(
    title="Fashion-MNIST",
    torchvision_class="FashionMNIST",
    megabytes=31,
    digests={
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
    debian_package="dataset-fashion-mnist",
    debian_folder=Path("/usr/share/datasets/fashion-mnist"),
)

MNIST = Collection(
    title="MNIST",
    torchvision_class="MNIST",
    megabytes=12,
    digests={
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
)

KMNIST = Collection(title="KMNIST", torchvision_class="KMNIST", megabytes=21)

#: The collection of each digest, to report when the files of another collection are found.
OWNERS = {
    digest: collection.title
    for collection in (FASHION_MNIST, MNIST)
    for digest in collection.digests.values()
}
