"""A small network for 8 x 8 images, with dropout: of the task `digits-schedules`."""

from torch import Tensor, nn

SLOPE = 0.1  # with plain ReLUs a rate that is too large leaves dead units, and the loss stays finite
SCALE = 4.0  # of the logits: steep, so that rates far below 1 diverge


class Net(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.LeakyReLU(SLOPE), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.LeakyReLU(SLOPE), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(128, 64), nn.LeakyReLU(SLOPE),
            nn.Dropout(dropout), nn.Linear(64, 10),
        )  # fmt: skip
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, SLOPE)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return SCALE * logits
