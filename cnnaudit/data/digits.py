"""The small digits that come with scikit-learn: a dataset that is offline everywhere."""

from typing import Any

import numpy as np
import torch

from cnnaudit.data.splits import Dataset, Request, Split, parted

_TEST, _HELD_OUT = 360, 180
_MEAN, _STD = 0.3060, 0.3763


def digits(_request: Request) -> Dataset:
    """Handwritten digits, 8 x 8, grey: 1,257 for training, 180 held out, 360 tests, every class in proportion.

    The test set of the Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, UCI, 1998); values
    0 to 16 become 0 to 255.
    """
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    pixels = torch.from_numpy(np.rint(found.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    everything = Split(pixels, torch.from_numpy(found.target.astype(np.int64)))
    rest, test = parted(everything, _TEST)
    train, validation = parted(rest, _HELD_OUT)
    return Dataset(
        name="digits",
        labels=tuple(str(digit) for digit in range(10)),
        train=train,
        validation=validation,
        tests={"test": test},
        mean=(_MEAN,),
        std=(_STD,),
        augmentation=(),
    )
