"""Stages become ONNX models of free size; a newer exporter stands in for the older one."""

import pytest
import torch
from backend_networks import eager, image, stages_of

from isl.inference.backends.export import OUTPUT, export_onnx


def run_model(model, *inputs):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    given = dict(zip(names, (tensor.numpy() for tensor in inputs), strict=True))
    return torch.from_numpy(session.run([OUTPUT], given)[0])


def test_rows_and_columns_are_free():
    stages = stages_of("unet")
    model = export_onnx(stages[0], [image(16, 16)])
    for size in ((16, 32), (48, 16)):
        expected = eager(stages, image(*size))
        torch.testing.assert_close(run_model(model, image(*size)), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter that is not used by default
def test_the_newer_exporter_stands_in_where_the_older_one_is_gone(monkeypatch):
    pytest.importorskip("onnxscript")
    export = torch.onnx.export

    def only_dynamo(*args, dynamo, **settings):
        if not dynamo:
            raise TypeError("the older exporter is gone")
        return export(*args, dynamo=True, **settings)

    monkeypatch.setattr(torch.onnx, "export", only_dynamo)
    stages = stages_of("default")
    model = export_onnx(stages[0], [image(32, 32)])
    expected = stages[0].module(image(48, 64))
    torch.testing.assert_close(run_model(model, image(48, 64)), expected, rtol=0, atol=1e-4)
