"""Training code of nano and of the paper's variants. Its commands end in one line where PyTorch is missing."""

import importlib.util

if importlib.util.find_spec("torch") is None:
    raise SystemExit("training needs PyTorch: python3 -m pip install torch")
