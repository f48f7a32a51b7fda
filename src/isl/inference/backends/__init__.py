"""How a network is run: torch, ONNX Runtime, OpenVINO, and which is fastest here."""
