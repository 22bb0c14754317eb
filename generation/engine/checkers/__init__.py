"""The safety checkers. Only below this package is onnxruntime imported: some releases report to their maker by default,
from the moment they are imported.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
