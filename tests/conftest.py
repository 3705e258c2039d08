import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed():
    """Tests are deterministic: one thread, so that sums have one order, and a fixed global seed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
