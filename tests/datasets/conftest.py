import pytest
import torch


@pytest.fixture
def image_folder(tmp_path):
    """train and test with three classes of eight small colour images each, of different sizes."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for part in ("train", "test"):
        for label in range(3):
            folder = tmp_path / "images" / part / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(8):
                size = (8 + number, 10, 3)
                pixels = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8).numpy()
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "images"
